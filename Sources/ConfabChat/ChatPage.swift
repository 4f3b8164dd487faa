public import Confab

extension Mount {
  /// The chat's page, at `/`. A build puts its folder beside the program. An installation puts it in `../share/confab`,
  /// relative to the program or the library. On Debian, the library is one folder deeper.
  public static var chatPage: Mount {
    Mount(directory: Installation.folder("confab_ConfabPage.resources/Page", installed, "../\(installed)") ?? installed)
  }

  private static let installed = "../share/confab/Page"
}
