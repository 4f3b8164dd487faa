import Confab
import ConfabChat

/// The value of a setting in a file.
enum FileValue: Decodable {
  /// The value of an option, or several values.
  case texts([String])
  /// A value that no setting accepts, described in words.
  case other(String)

  init(from decoder: any Decoder) throws {
    if var list = try? decoder.unkeyedContainer() {
      self = .texts([])
      while !list.isAtEnd, case .texts(let texts) = self {
        switch try list.decode(FileValue.self) {
        case .texts(let more): self = .texts(texts + more)
        case .other(let kind): self = .other("a list with \(kind)")
        }
      }
      return
    }
    let value = try decoder.singleValueContainer()
    if let text = try? value.decode(String.self) {
      self = .texts([text])
    } else if let flag = try? value.decode(Bool.self) {
      self = .texts(["\(flag)"])
    } else if let number = try? value.decode(Int.self) {
      self = .texts(["\(number)"])
    } else if let number = try? value.decode(Double.self) {
      self = .texts(["\(number)"])
    } else {
      self = .other(value.decodeNil() ? "null" : "an object")
    }
  }

  /// Reads the settings of a JSON5 file, by name.
  static func read(_ path: String) throws(Failure) -> [String: FileValue] {
    guard let bytes = fileContents(path) else {
      throw Failure("the file cannot be read: \(reasonNotToRead(path) ?? "unknown reason")")
    }
    do {
      return try Json.decodeJSON5([String: FileValue].self, from: bytes)
    } catch DecodingError.dataCorrupted {
      throw Failure("the file is not JSON")
    } catch {
      throw Failure("the file must contain one object, like { \"port\": 8080 }")
    }
  }
}

/// An error, described in one sentence.
struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
