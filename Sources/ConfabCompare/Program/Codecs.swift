import ArgumentParser
import Foundation
import NIOCore
import NIOEmbedded
import NIOPosix
import NIOWebSocket

/// Compares which streams the codecs accept, and what they deliver and answer.
struct Codecs: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Send equal byte streams to both codecs, and print where they differ.")

  @Option(help: "Number of mutated streams, in addition to the fixed ones.") var mutations = 500

  private static let limit = 65_536

  func run() async throws {
    let server = Process()
    let output = Pipe()
    server.executableURL = URL(fileURLWithPath: ServerProcess.confabProgram)
    server.arguments = ["serve", "--port", "0", "--log-level", "critical", "--max-message-size", "\(Codecs.limit)"]
    server.standardOutput = output
    try server.run()
    defer {
      server.terminate()
      server.waitUntilExit()
    }
    let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
    guard let port = line.split(whereSeparator: { !$0.isNumber }).last.flatMap({ Int($0) }) else {
      throw ValidationError("confab did not start: \(line)")
    }

    var rows: [Violation: Row] = [:]
    var count = 0
    for stream in ByteStream.valid + ByteStream.invalid + ByteStream.mutated(mutations) {
      let verdict = judge(stream.bytes, limit: UInt64(Codecs.limit))
      // Sends each stream as a whole, and the fixed ones also byte by byte: the segments must not matter.
      let isFixed = count < ByteStream.valid.count + ByteStream.invalid.count
      let confab = try await overASocket(stream, port: port, chopped: false)
      let nio = inNio(stream, chopped: false)
      if isFixed {
        let (one, other) = (try await overASocket(stream, port: port, chopped: true), inNio(stream, chopped: true))
        // Bytes that arrive after the server has closed reset the connection, which may lose the close frame.
        if one != confab && one.end != .dropped {
          throw ValidationError("Confab: '\(stream.name)' depends on its segments: \(confab.end), or \(one.end)")
        }
        if other != nio { print("SwiftNIO: '\(stream.name)' depends on its segments: \(nio.end), or \(other.end)") }
      }
      count += 1
      guard !verdict.isCut else { continue }
      var row = rows[verdict.violation] ?? Row()
      row.count += 1
      row.confab["\(confab.end)", default: 0] += 1
      row.nio["\(nio.end)", default: 0] += 1
      if confab.messages != verdict.messages { row.confabDelivers += 1 }
      if nio.messages != verdict.messages { row.nioDelivers += 1 }
      rows[verdict.violation] = row
    }
    print(
      "\(count) streams, of which \(rows.values.reduce(0) { $0 + $1.count }) do not end within a frame or message.\n")
    print("| what the stream has first | streams | Confab | SwiftNIO | RFC 6455 |\n| --- | ---: | --- | --- | --- |")
    for violation in Violation.allCases {
      guard let row = rows[violation] else { continue }
      print(
        "| \(violation.rawValue) | \(row.count) | \(Row.tell(row.confab, row.confabDelivers)) "
          + "| \(Row.tell(row.nio, row.nioDelivers)) | \(violation.sentence) |")
    }
  }

  private struct Row {
    var count = 0
    var confab: [String: Int] = [:]
    var nio: [String: Int] = [:]
    /// The number of streams whose messages differ from the RFC's.
    var confabDelivers = 0
    var nioDelivers = 0

    static func tell(_ ends: [String: Int], _ wrong: Int) -> String {
      let parts = ends.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.key) (\($0.value))" }
      return parts.joined(separator: ", ") + (wrong > 0 ? "; \(wrong) deliver other messages" : "")
    }
  }

  // MARK: Sending

  private func overASocket(_ stream: ByteStream, port: Int, chopped: Bool) async throws -> Outcome {
    let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(.allowRemoteHalfClosure, value: false)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    return try await channel.executeThenClose { inbound, outbound in
      let upgrade =
        "GET /\(UInt64.random(in: 0 ... .max)) HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
      try await outbound.write(ByteBuffer(string: upgrade))
      var received: [UInt8] = []
      var isUpgraded = false
      // A codec that accepts the stream answers a final ping. One that waits for the rest of a frame does not, and the
      // connection is closed. The second ping is needed because the first pong may overtake messages of the same turn.
      var pings = ["the end", "really"].map { Array($0.utf8) }
      let givingUp = channel.channel.eventLoop.scheduleTask(in: .milliseconds(120)) {
        channel.channel.close(promise: nil)
      }
      defer { givingUp.cancel() }
      do {
        for try await buffer in inbound {
          received += buffer.readableBytesView
          if !isUpgraded {
            guard let range = received.firstRange(of: Array("\r\n\r\n".utf8)) else { continue }
            received.removeSubrange(..<range.upperBound)
            isUpgraded = true
            for piece in chopped ? stream.bytes.map({ [$0] }) : [stream.bytes] {
              // The server may have closed the connection: its earlier output is read nevertheless.
              try? await outbound.write(ByteBuffer(bytes: piece))
            }
            // libwebsockets drops a ping while the pong for another is pending.
            let ping = ByteBuffer(bytes: ByteStream.frame(9, pings[0]))
            channel.channel.eventLoop.scheduleTask(in: .milliseconds(15)) {
              channel.channel.writeAndFlush(ping, promise: nil)
            }
          }
          guard received.firstRange(of: [0x8A, UInt8(pings[0].count)] + pings[0]) != nil else { continue }
          pings.removeFirst()
          if pings.isEmpty { return Codecs.read(received, isOpen: true) }
          try? await outbound.write(ByteBuffer(bytes: ByteStream.frame(9, pings[0])))
        }
      } catch is ChannelError {
      } catch is IOError {}
      return Codecs.read(received, isOpen: false)
    }
  }

  /// Runs NIO's decoder, aggregator and protocol error handler, with a handler behind them that a server needs.
  private func inNio(_ stream: ByteStream, chopped: Bool) -> Outcome {
    let channel = EmbeddedChannel()
    let collector = Collector()
    do {
      try channel.pipeline.syncOperations.addHandlers([
        WebSocketFrameEncoder(), ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: Codecs.limit)),
        WebSocketProtocolErrorHandler(isServer: true),
        NIOWebSocketFrameAggregator(
          minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: 1024, maxAccumulatedFrameSize: Codecs.limit),
        collector,
      ])
      try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
      for piece in chopped ? stream.bytes.map({ [$0] }) : [stream.bytes] {
        _ = try? channel.writeInbound(ByteBuffer(bytes: piece))
      }
      channel.embeddedEventLoop.run()
      var written: [UInt8] = []
      while let buffer = try channel.readOutbound(as: ByteBuffer.self) { written += buffer.readableBytesView }
      let answer = Codecs.read(written, isOpen: channel.isActive)
      return Outcome(messages: collector.messages, end: answer.end)
    } catch {
      return Outcome(messages: collector.messages, end: .dropped)
    }
  }

  /// Parses the server's frames into complete messages and the close frame.
  private static func read(_ bytes: [UInt8], isOpen: Bool) -> Outcome {
    var outcome = Outcome(end: isOpen ? .open : .dropped)
    var (index, message) = (0, [UInt8]())
    while index + 2 <= bytes.count {
      let (first, short) = (bytes[index], Int(bytes[index + 1] & 127))
      index += 2
      let extra = short == 126 ? 2 : short == 127 ? 8 : 0
      guard index + extra <= bytes.count else { break }
      let length = extra == 0 ? short : bytes[index..<index + extra].reduce(0) { $0 << 8 | Int($1) }
      index += extra
      guard index + length <= bytes.count else { break }
      let payload = bytes[index..<index + length]
      index += length
      switch first & 15 {
      case 8:
        outcome.end = .close(payload.prefix(2).reduce(0) { $0 << 8 | Int($1) })
        return outcome
      case 9, 10: continue
      default:
        message += payload
        if first & 0x80 != 0 {
          outcome.messages.append(message)
          message = []
        }
      }
    }
    return outcome
  }
}

private final class Collector: ChannelInboundHandler {
  typealias InboundIn = WebSocketFrame
  typealias OutboundOut = WebSocketFrame
  private(set) var messages: [[UInt8]] = []
  private var isClosing = false

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let frame = unwrapInboundIn(data)
    guard !isClosing else { return }
    switch frame.opcode {
    case .text, .binary: messages.append(Array(frame.unmaskedData.readableBytesView))
    case .connectionClose:
      isClosing = true
      context.writeAndFlush(
        wrapOutboundOut(WebSocketFrame(fin: true, opcode: .connectionClose, data: frame.unmaskedData)), promise: nil)
      context.close(promise: nil)
    default: break
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    isClosing = true
    context.close(promise: nil)
  }
}
