public import Confab
internal import Foundation

extension Mount {
  /// The chat's page, at `/`. Its files are looked for beside the running program, where a build puts them, in
  /// `../share/confab` from it, where an installation does, and in the build folder.
  public static var chatPage: Mount {
    let program = Bundle.main.bundleURL
    let places = [
      program.appendingPathComponent("confab_ConfabChat.resources/Page"),
      program.appendingPathComponent("../share/confab/Page"),
    ]
    let place = places.first { FileManager.default.fileExists(atPath: $0.path) }
    return Mount(directory: (place ?? Bundle.module.bundleURL.appendingPathComponent("Page")).standardizedFileURL.path)
  }
}
