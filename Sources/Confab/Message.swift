/// A complete WebSocket message, text or binary, with its fragments joined. Its bytes are borrowed.
///
/// The compiler ensures that a message does not outlive the call that receives it. Copy it to keep it:
/// `String(message)`, `Array(message)`.
public struct Message: ~Escapable, Sendable {
  /// The type of a message. The raw values are the opcodes of RFC 6455, section 5.2.
  public enum Kind: UInt8, Sendable {
    /// UTF-8 text. The server validates received text (section 8.1).
    case text = 1
    /// Any bytes.
    case binary = 2
  }

  /// The type of the message.
  public let kind: Kind
  /// The unmasked payload. A received message has 0 to ``Configuration/maxMessageSize`` bytes.
  public let bytes: Span<UInt8>
  /// Whether `bytes` are the compressed form for one reader (RFC 7692, section 6).
  private(set) var isCompressed = false

  /// Minimum size of compressed messages in bytes. Compressing shorter messages would save nothing.
  public static let minCompressedSize = 128

  /// A message to send, which borrows `bytes`.
  @_lifetime(copy bytes)
  public init(_ kind: Kind, _ bytes: Span<UInt8>) {
    self.kind = kind
    self.bytes = bytes
  }

  /// A message in its compressed form.
  @_lifetime(copy bytes)
  init(_ kind: Kind, compressed bytes: Span<UInt8>) {
    self.init(kind, bytes)
    isCompressed = true
  }

  /// Returns the payload of the message's compressed form; nil if the message is better sent uncompressed.
  func deflated(_ compression: Compression) -> [UInt8]? {
    bytes.count < Message.minCompressedSize ? nil : Deflater.deflate(bytes, compression)
  }
}

extension Message {
  /// Returns whether the bytes are UTF-8, and thus allowed in a text message (RFC 6455, section 8.1).
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
  /// A copy of the message's payload as text. In a binary message, bytes that are not UTF-8 become U+FFFD.
  public init(_ message: Message) {
    self.init(decoding: [UInt8](message), as: UTF8.self)
  }
}

/// A message that owns its bytes. A ``Message`` borrows them.
public struct OwnedMessage: Hashable, Sendable {
  /// The type of the message.
  public let kind: Message.Kind
  /// The payload.
  public let bytes: [UInt8]

  /// A message of these bytes, which must be UTF-8 for a text message.
  public init(_ kind: Message.Kind, _ bytes: [UInt8]) { (self.kind, self.bytes) = (kind, bytes) }

  /// A text message.
  public init(_ text: String) { self.init(.text, Array(text.utf8)) }

  /// A copy of a message.
  public init(_ message: Message) { self.init(message.kind, [UInt8](message)) }

  /// The payload as text; nil for a binary message.
  public var text: String? { kind == .text ? String(decoding: bytes, as: UTF8.self) : nil }

  /// The message as a borrowed ``Message``.
  public var message: Message {
    @_lifetime(borrow self) borrowing get { Message(kind, bytes.span) }
  }
}
