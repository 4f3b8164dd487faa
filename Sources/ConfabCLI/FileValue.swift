import Confab
import FoundationEssentials

/// What a file has a setting at.
enum FileValue: Decodable {
  /// As an option would take it, once or several times.
  case texts([String])
  /// What no setting can be at.
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

  /// The values of a file by name: JSON, with comments and commas at the end as JSON5 has them.
  static func read(_ path: String) throws(Failure) -> [String: FileValue] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Failure("the file cannot be read: \(reasonNotToRead(path) ?? "no reason is given")")
    }
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    do {
      return try decoder.decode([String: FileValue].self, from: data)
    } catch DecodingError.dataCorrupted {
      throw Failure("this is not JSON")
    } catch {
      throw Failure("it must be one object, like { \"port\": 8080 }")
    }
  }
}

/// What went wrong, in one sentence.
struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
