public import Confab

extension Mount {
  /// The chat's page, at `/`. Its folder is beside the running program, where a build puts it, or in `../share/confab` from
  /// the program or the library, where an installation does.
  public static var chatPage: Mount {
    Mount(directory: Installation.folder("confab_ConfabPage.resources/Page", installed) ?? installed)
  }

  private static let installed = "../share/confab/Page"
}
