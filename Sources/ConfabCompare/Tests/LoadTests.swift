import CLoad
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket
import Testing

@testable import ConfabCompare

/// Checks that the load generator detects faulty servers.
@Suite(.serialized) struct LoadTests {
  enum Fault: CaseIterable { case lost, twice, reordered, wrongBytes, wrongKind, cut, closed }

  @Test func acceptsACorrectServer() throws {
    let result = try load(nil)
    #expect(result.ok == 1)
    #expect(result.deliveries > 0)
    #expect((result.lost, result.wrong, result.closed, result.disordered) == (0, 0, 0, 0))
    #expect(result.server_cpu > 0 && result.busiest_thread_cpu > 0 && result.rss_peak > 0)
    #expect(result.p50 > 0 && result.p50 <= result.p99)
  }

  @Test(arguments: Fault.allCases)
  func detectsAFaultyServer(_ fault: Fault) throws {
    let result = try load(fault)
    #expect(result.ok == 0)
    switch fault {
    case .closed: #expect(result.closed > 0)
    case .lost: #expect(result.lost > 0)
    default: #expect(result.wrong > 0)
    }
  }

  private func load(_ fault: Fault?) throws -> load_result {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    defer { try? group.syncShutdownGracefully() }
    let loop = group.next()
    let room = try loop.submit { NIOLoopBound(FaultyRoom(fault), eventLoop: loop) }.wait()
    let server = try ServerBootstrap(group: group)
      .childChannelInitializer { channel in
        let upgrader = NIOWebSocketServerUpgrader(
          shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture([:]) },
          upgradePipelineHandler: { channel, _ in
            channel.eventLoop.makeCompletedFuture {
              room.value.channels.append(channel)
              try channel.pipeline.syncOperations.addHandler(FaultyMember(room.value))
            }
          })
        return channel.pipeline.configureHTTPServerPipeline(
          withServerUpgrade: (upgraders: [upgrader], completionHandler: { _ in }))
      }
      .bind(host: "127.0.0.1", port: 0).wait()
    var options = Scenario.fanout("", "", connections: 3, senders: 2, window: 2).load
    options.port = Int32(server.localAddress?.port ?? 0)
    options.server = getpid()
    options.core = -1
    options.seconds = 0.2
    options.patience = 0.3
    return load_run(options)
  }
}

/// A chat that mishandles the fifth message.
private final class FaultyRoom {
  var channels: [any Channel] = []
  private let fault: LoadTests.Fault?
  private var count = 0
  private var held: (data: ByteBuffer, sender: any Channel)?

  init(_ fault: LoadTests.Fault?) { self.fault = fault }

  func receive(_ data: ByteBuffer, from sender: any Channel) {
    count += 1
    guard count == 5, let fault else {
      publish(data)
      // Only the order of one sender's messages can be checked.
      if let (data, owner) = held, owner === sender {
        held = nil
        publish(data)
      }
      return
    }
    var data = data
    switch fault {
    case .lost: break
    case .twice:
      publish(data)
      publish(data)
    case .reordered: held = (data, sender)
    case .wrongBytes:
      data.setInteger(data.getInteger(at: data.readerIndex + 40, as: UInt8.self)! ^ 1, at: data.readerIndex + 40)
      publish(data)
    case .wrongKind: publish(data, .binary)
    case .cut: publish(data.getSlice(at: data.readerIndex, length: data.readableBytes - 1)!)
    case .closed: sender.close(promise: nil)
    }
  }

  private func publish(_ data: ByteBuffer, _ opcode: WebSocketOpcode = .text) {
    for channel in channels {
      channel.writeAndFlush(WebSocketFrame(fin: true, opcode: opcode, data: data), promise: nil)
    }
  }
}

private final class FaultyMember: ChannelInboundHandler {
  typealias InboundIn = WebSocketFrame
  private let room: FaultyRoom

  init(_ room: FaultyRoom) { self.room = room }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let frame = unwrapInboundIn(data)
    if frame.opcode == .text { room.receive(frame.unmaskedData, from: context.channel) }
  }
}
