import CConfab
import Confab

#if NATS
  import ConfabNats
#endif
#if SQLite
  import ConfabSQLite
#endif

/// The versions that `confab --version` prints.
enum Version {
  /// The program's version, and a line for each library. The line of an optional library contains the option that needs
  /// it.
  static var text: String {
    var lines = ["confab \(CONFAB_VERSION)"] + LinkedLibrary.all.map(line)
    #if SQLite
      lines.append("\(line(.sqlite)) (--history)")
    #endif
    #if NATS
      lines.append("\(line(.nats)) (--nats)")
    #endif
    return lines.joined(separator: "\n")
  }

  private static func line(_ library: LinkedLibrary) -> String { "\(library.name) \(library.version)" }
}
