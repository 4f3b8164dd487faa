/// Reasons to reject a piece of a message.
enum AssemblyError: Error { case tooBig, tooManyFragments, notUtf8, notDeflate, reservedBit, tooManyUnfinished }

/// An incomplete message: fragments (RFC 6455, section 5.4), or parts of a frame that is larger than the receive
/// buffer.
final class Assembly {
  private(set) var bytes: [UInt8] = []
  let kind: Message.Kind
  /// Whether the pieces are the message's compressed form, which is validated after inflating.
  let isCompressed: Bool
  /// Whether all pieces so far belong to the first frame.
  private(set) var isInFirstFrame = true
  /// Whether the message is complete and waits for delivery to the handler.
  var isWhole = false
  private var fragments: Int32 = 0
  private var text = Utf8Validator()

  /// The limits of a message: a part of the ``Configuration`` that is small enough to read for each message.
  struct Limits {
    let maxMessageSize: Int
    let maxFragments: Int
    /// Maximum compressed size of a message of ``maxMessageSize`` bytes: zlib's worst case for incompressible data,
    /// with any settings (deflate.c, deflateBound).
    let maxCompressedSize: Int
    /// Maximum memory for incomplete messages of one event loop.
    let maxUnfinished: Int

    init(_ configuration: Configuration) {
      maxMessageSize = configuration.maxMessageSize
      maxCompressedSize = maxMessageSize + (maxMessageSize + 7) >> 3 + (maxMessageSize + 63) >> 6 + 16
      maxFragments = configuration.maxFragments
      maxUnfinished = configuration.maxUnfinishedBytes / configuration.loops
    }
  }

  init(_ kind: Message.Kind, isCompressed: Bool = false) {
    self.kind = kind
    self.isCompressed = isCompressed
  }

  /// Appends a piece, which is borrowed.
  ///
  /// - Parameters:
  ///   - remaining: bytes of the same frame that are still to come, as the peer claims.
  ///   - isFinal: whether the piece ends the message.
  func add(
    _ piece: Span<UInt8>, remaining: Int, isFinal: Bool, limits: Limits
  ) throws(AssemblyError) {
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

  /// Maximum capacity reserved for the size that a frame header claims; beyond it, the buffer grows with the data.
  private static let reserved = 16 * 1024

  /// Checks a message that has arrived in one piece.
  static func check(_ message: Message, limits: Limits) throws(AssemblyError) {
    guard message.bytes.count <= limits.maxMessageSize else { throw .tooBig }
    guard message.kind == .binary || Utf8Validator.isValid(message.bytes) else { throw .notUtf8 }
  }
}
