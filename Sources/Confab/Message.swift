/// A whole WebSocket message, text or binary, its fragments joined. Its bytes are borrowed.
///
/// The compiler lets no message outlive the call that it is handed to. What should live longer is copied:
/// `String(message)`, `Array(message)`.
public struct Message: ~Escapable, Sendable {
  /// What a message carries. The raw values are the opcodes of RFC 6455, section 5.2.
  public enum Kind: UInt8, Sendable {
    /// UTF-8. The server has checked it, section 8.1.
    case text = 1
    /// Any bytes.
    case binary = 2
  }

  /// Whether it is text.
  public let kind: Kind
  /// The payload, unmasked, at least 0 and at most ``Configuration/maxMessageSize`` bytes when it was received.
  public let bytes: Span<UInt8>
  /// Whether `bytes` are the compressed form, for one who reads it (RFC 7692, section 6).
  private(set) var isCompressed = false

  /// Shorter messages are not compressed, in bytes: it would save nothing.
  public static let minCompressedSize = 128

  /// A message to send: it borrows `bytes`.
  @_lifetime(copy bytes)
  public init(_ kind: Kind, _ bytes: Span<UInt8>) {
    self.kind = kind
    self.bytes = bytes
  }

  /// The compressed form of a message of this kind.
  @_lifetime(copy bytes)
  init(_ kind: Kind, compressed bytes: Span<UInt8>) {
    self.init(kind, bytes)
    isCompressed = true
  }

  /// The payload of the message's compressed form; nil if it is better sent as it is.
  func deflated(_ compression: Compression) -> [UInt8]? {
    bytes.count < Message.minCompressedSize ? nil : Deflater.deflate(bytes, compression)
  }
}

extension Message {
  /// Whether bytes may be the payload of a text message: UTF-8, RFC 6455, section 8.1.
  package static func isText(_ bytes: Span<UInt8>) -> Bool { Utf8Validator.isValid(bytes) }
}

extension [UInt8] {
  /// A copy of the message's payload.
  public init(_ message: Message) {
    self.init()
    append(message)
  }

  /// Appends a copy of the message's payload.
  public mutating func append(_ message: Message) { append(message.bytes) }
}

extension String {
  /// A copy of the message's payload as text. A binary message that is not UTF-8 gets U+FFFD where it is not.
  public init(_ message: Message) {
    self.init(decoding: [UInt8](message), as: UTF8.self)
  }
}

/// A message that keeps its bytes: what a ``Message`` is the borrowed form of.
public struct OwnedMessage: Hashable, Sendable {
  /// Whether it is text.
  public let kind: Message.Kind
  /// The payload.
  public let bytes: [UInt8]

  /// A message of these bytes, which must be UTF-8 if it is text.
  public init(_ kind: Message.Kind, _ bytes: [UInt8]) { (self.kind, self.bytes) = (kind, bytes) }

  /// A message of text.
  public init(_ text: String) { self.init(.text, Array(text.utf8)) }

  /// A copy of a message.
  public init(_ message: Message) { self.init(message.kind, [UInt8](message)) }

  /// The payload as text; nil for a binary message.
  public var text: String? { kind == .text ? String(decoding: bytes, as: UTF8.self) : nil }

  /// The message, borrowed.
  public var message: Message {
    @_lifetime(borrow self) borrowing get { Message(kind, bytes.span) }
  }
}
