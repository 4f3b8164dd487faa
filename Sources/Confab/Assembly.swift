/// A message that arrives in pieces: the fragments of RFC 6455, section 5.4, and parts of a frame that is larger than
/// the receive buffer.
final class Assembly {
  private(set) var bytes: [UInt8] = []
  let kind: Message.Kind
  /// Whether the pieces are those of the compressed form, which is checked when it has been expanded.
  let isCompressed: Bool
  /// Whether all pieces so far are of one frame.
  private(set) var isInFirstFrame = true
  /// Whether all of it has come, and it waits to be handed on.
  var isWhole = false
  private var fragments: Int32 = 0
  private var text = Utf8Validator()

  /// What is accepted: a part of the ``Configuration``, small enough to be looked at for each message.
  struct Limits {
    let maxMessageSize: Int
    let maxFragments: Int
    /// What a message of that size can become when a client compresses what cannot be compressed, in the worst case of any
    /// setting of zlib's (deflate.c, deflateBound).
    let maxCompressedSize: Int
    /// Of each event loop.
    let maxUnfinished: Int

    init(_ configuration: Configuration) {
      maxMessageSize = configuration.maxMessageSize
      maxCompressedSize = maxMessageSize + (maxMessageSize + 7) >> 3 + (maxMessageSize + 63) >> 6 + 16
      maxFragments = configuration.maxFragments
      maxUnfinished = configuration.maxUnfinishedBytes / configuration.loops
    }
  }

  /// Why a piece is refused.
  enum Refusal: Error { case tooBig, tooManyFragments, notUtf8, notDeflate, reservedBit, tooManyUnfinished }

  init(_ kind: Message.Kind, isCompressed: Bool = false) {
    self.kind = kind
    self.isCompressed = isCompressed
  }

  /// Adds a piece, which is borrowed.
  ///
  /// - Parameters:
  ///   - remaining: how many bytes of the same frame are still to come, as the peer claims.
  ///   - isFinal: whether it ends the message.
  func add(
    _ piece: Span<UInt8>, remaining: Int, isFinal: Bool, limits: Limits
  ) throws(Refusal) {
    let limit = isCompressed ? limits.maxCompressedSize : limits.maxMessageSize
    guard remaining <= limit - bytes.count - piece.count else { throw .tooBig }
    if remaining == 0 {
      isInFirstFrame = false
      fragments += 1
      guard fragments <= limits.maxFragments else { throw .tooManyFragments }
    }
    if kind == .text && !isCompressed {
      guard text.accept(piece), !isFinal || text.isComplete else { throw .notUtf8 }
    }
    if bytes.isEmpty { bytes.reserveCapacity(piece.count + min(remaining, Assembly.reserved)) }
    bytes.append(piece)
  }

  /// So much is reserved for what a frame's header claims; the rest grows as it comes.
  private static let reserved = 16 * 1024

  /// The same checks for a message that has arrived in one piece.
  static func check(_ message: Message, limits: Limits) throws(Refusal) {
    guard message.bytes.count <= limits.maxMessageSize else { throw .tooBig }
    guard message.kind == .binary || Utf8Validator.isValid(message.bytes) else { throw .notUtf8 }
  }
}
