internal import Logging

// Text for logs: one line, whatever peers have sent.

extension Logger.Metadata {
  /// The metadata at the beginning of a line, `key=value key="other value": `, sorted by key; empty if there is none.
  package var lineHead: String {
    isEmpty ? "" : sorted { $0.key < $1.key }.map { "\($0.key)=\("\($0.value)".word)" }.joined(separator: " ") + ": "
  }
}

extension String {
  /// The text in quotes, escaped like a JSON string. Control characters are replaced as in ``withoutControls``.
  package var quoted: String {
    "\"" + withoutControls.reduce(into: "") { $0 += $1 == "\"" || $1 == "\\" ? "\\\($1)" : "\($1)" } + "\""
  }

  /// The text as a metadata value, in quotes if it would be ambiguous without them.
  fileprivate var word: String {
    let isPlain = !isEmpty && utf8.allSatisfy { 33...126 ~= $0 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    return isPlain ? self : quoted
  }

  /// The first 200 characters (Unicode scalars), as ``withoutControls``.
  var printable: String {
    let scalars = unicodeScalars.prefix(201)
    return String(String.UnicodeScalarView(scalars.prefix(200))).withoutControls + (scalars.count > 200 ? "…" : "")
  }

  /// The text with U+FFFD in place of control, format, unassigned and private-use characters and line separators. They
  /// could forge log lines or reverse the text direction.
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
