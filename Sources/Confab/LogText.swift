internal import Logging

// What logs are made of, on one line whatever peers have sent.

extension Logger.Metadata {
  /// `key=value key="other value": `, in the order of the keys; empty if there is none.
  package var lineHead: String {
    isEmpty ? "" : sorted { $0.key < $1.key }.map { "\($0.key)=\("\($0.value)".word)" }.joined(separator: " ") + ": "
  }
}

extension String {
  /// In quotes, as a string of JSON, but without control characters.
  package var quoted: String {
    "\"" + withoutControls.reduce(into: "") { $0 += $1 == "\"" || $1 == "\\" ? "\\\($1)" : "\($1)" } + "\""
  }

  /// As a value among others, in quotes if it could not be told from them.
  fileprivate var word: String {
    let isPlain = !isEmpty && utf8.allSatisfy { 33...126 ~= $0 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    return isPlain ? self : quoted
  }

  /// At most 200 characters of it, as ``withoutControls``.
  var printable: String {
    let scalars = unicodeScalars.prefix(201)
    return String(String.UnicodeScalarView(scalars.prefix(200))).withoutControls + (scalars.count > 200 ? "…" : "")
  }

  /// The text without any control character, separator of lines, or character that turns the direction of what follows.
  package var withoutControls: String {
    var text = String.UnicodeScalarView()
    for scalar in unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse:
        text.append("\u{FFFD}")
      default: text.append(scalar)
      }
    }
    return String(text)
  }
}
