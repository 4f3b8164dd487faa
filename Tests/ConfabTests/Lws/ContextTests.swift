import Glibc
import Testing

@testable import Confab

@Suite struct ContextTests {
  /// Who embeds the server may open files while it stops.
  @Test func endingClosesNoDescriptorOfAnother() throws {
    for _ in 0..<20 {
      let uv = try UvLoop()
      let context = try Context(Configuration(), nil, on: uv)
      context.destroy()
      // They take the numbers that have just become free.
      let opened = (0..<8).map { _ in dup(0) }
      uv.close()
      uv.closeLoop { context.destroy() }
      for descriptor in opened {
        #expect(fcntl(descriptor, F_GETFD) != -1)
        close(descriptor)
      }
    }
  }
}
