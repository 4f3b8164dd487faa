import Dispatch
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket

/// The peer that Confab is compared with: the group chat on SwiftNIO's WebSocket codec, written for speed.
///
/// It has one event loop. In ``Mode/shared``, the best case, all messages of a tick are encoded once into one buffer,
/// which is written to each channel with one write, below the frame encoder. In ``Mode/encoder`` each channel's frame
/// encoder encodes each frame, as in a plain NIO program. Both flush once per channel and tick.
enum NioChat {
  enum Mode { case shared, encoder }

  static func serve(port: Int, mode: Mode) throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop = group.next()
    let room = try loop.submit { NIOLoopBound(NioRoom(mode, on: loop), eventLoop: loop) }.wait()
    let channel = try ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 4096)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelOption(.maxMessagesPerRead, value: 64)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.maxMessagesPerRead, value: 1)
      .childChannelOption(.writeBufferWaterMark, value: .init(low: 1 << 29, high: 1 << 30))
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try configure(channel, room) }
      }
      .bind(host: "127.0.0.1", port: port).wait()
    // Exits normally, so that a recorder like heaptrack can finish its output.
    signal(SIGTERM, SIG_IGN)
    let stop = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .global())
    stop.setEventHandler { exit(0) }
    stop.resume()
    try channel.closeFuture.wait()
  }

  private static func configure(_ channel: any Channel, _ room: NIOLoopBound<NioRoom>) throws {
    let below = NIOLoopBound(BelowTheEncoder(), eventLoop: channel.eventLoop)
    let upgrader = NIOWebSocketServerUpgrader(
      maxFrameSize: 16 << 20,
      shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture([:]) },
      upgradePipelineHandler: { channel, _ in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(NioMember(room.value, below.value))
        }
      })
    try channel.pipeline.syncOperations.addHandler(below.value)
    try channel.pipeline.syncOperations.configureHTTPServerPipeline(
      withPipeliningAssistance: false, withServerUpgrade: (upgraders: [upgrader], completionHandler: { _ in }),
      withErrorHandling: false)
  }
}

/// The members, and the messages of the current tick.
private final class NioRoom {
  private var members: [NioMember] = []
  private let mode: NioChat.Mode
  private let loop: any EventLoop
  private var batch = ByteBuffer()
  private var isScheduled = false

  init(_ mode: NioChat.Mode, on loop: any EventLoop) {
    self.mode = mode
    self.loop = loop
  }

  func add(_ member: NioMember) {
    settle()
    member.index = members.count
    members.append(member)
  }

  func remove(_ member: NioMember) {
    guard member.index >= 0 else { return }
    settle()
    let last = members.removeLast()
    if last !== member {
      members[member.index] = last
      last.index = member.index
    }
    member.index = -1
  }

  func say(_ frame: WebSocketFrame) {
    switch mode {
    case .shared: append(frame)
    case .encoder:
      let data = WebSocketFrame(fin: true, opcode: frame.opcode, data: frame.unmaskedData)
      for member in members { member.write(data) }
    }
    guard !isScheduled else { return }
    isScheduled = true
    let this = NIOLoopBound(self, eventLoop: loop)
    loop.execute { this.value.tickEnded() }
  }

  private func tickEnded() {
    isScheduled = false
    switch mode {
    case .shared: settle()
    case .encoder: for member in members { member.flush() }
    }
  }

  /// Sends the batch to the current members.
  private func settle() {
    guard batch.readableBytes > 0 else { return }
    let bytes = NIOAny(batch)
    for member in members { member.writeBelow(bytes) }
    batch.clear(minimumCapacity: 4096)
  }

  /// Encodes a frame. Unmasks its payload eight bytes at a time.
  private func append(_ frame: WebSocketFrame) {
    let count = frame.data.readableBytes
    batch.writeInteger(0x80 | UInt8(webSocketOpcode: frame.opcode))
    switch count {
    case 0..<126: batch.writeInteger(UInt8(count))
    case 126..<65_536: batch.writeMultipleIntegers(UInt8(126), UInt16(count))
    default: batch.writeMultipleIntegers(UInt8(127), UInt64(count))
    }
    let start = batch.readableBytes
    batch.writeImmutableBuffer(frame.data)
    guard let key = frame.maskKey else { return }
    let word = (0..<8).reduce(UInt64(0)) { $0 | UInt64(key[$1 & 3]) << (UInt64($1) * 8) }
    unsafe batch.withUnsafeMutableReadableBytes { bytes in
      var index = start
      while index + 8 <= bytes.count {
        let masked = unsafe bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
        unsafe bytes.storeBytes(of: masked ^ word, toByteOffset: index, as: UInt64.self)
        index += 8
      }
      while index < bytes.count {
        unsafe bytes[index] ^= key[(index - start) & 3]
        index += 1
      }
    }
  }
}

/// The first handler of a pipeline. Writes through its context go to the socket unchanged.
private final class BelowTheEncoder: ChannelOutboundHandler {
  typealias OutboundIn = ByteBuffer
  var context: ChannelHandlerContext?
  func handlerAdded(context: ChannelHandlerContext) { self.context = context }
  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }
}

private final class NioMember: ChannelInboundHandler {
  typealias InboundIn = WebSocketFrame
  typealias OutboundOut = WebSocketFrame
  var index = -1
  private let room: NioRoom
  private let below: BelowTheEncoder
  private var context: ChannelHandlerContext?
  private var fragments: (opcode: WebSocketOpcode, data: ByteBuffer)?

  init(_ room: NioRoom, _ below: BelowTheEncoder) {
    self.room = room
    self.below = below
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    room.add(self)
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    room.remove(self)
    self.context = nil
  }

  func channelInactive(context: ChannelHandlerContext) {
    room.remove(self)
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  func write(_ frame: WebSocketFrame) { context?.write(wrapOutboundOut(frame), promise: nil) }
  func flush() { context?.flush() }
  func writeBelow(_ bytes: NIOAny) { below.context?.writeAndFlush(bytes, promise: nil) }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let frame = unwrapInboundIn(data)
    switch frame.opcode {
    case .text, .binary:
      if frame.fin { room.say(frame) } else { fragments = (frame.opcode, frame.unmaskedData) }
    case .continuation:
      fragments?.data.writeImmutableBuffer(frame.unmaskedData)
      if frame.fin, let whole = fragments {
        fragments = nil
        room.say(WebSocketFrame(fin: true, opcode: whole.opcode, data: whole.data))
      }
    case .ping:
      context.writeAndFlush(
        wrapOutboundOut(WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData)), promise: nil)
    case .connectionClose:
      room.remove(self)
      var data = frame.unmaskedData
      let code = data.readSlice(length: min(2, data.readableBytes)) ?? ByteBuffer()
      context.writeAndFlush(wrapOutboundOut(WebSocketFrame(fin: true, opcode: .connectionClose, data: code)))
        .assumeIsolated().whenComplete { _ in context.close(promise: nil) }
    default: break
    }
  }
}
