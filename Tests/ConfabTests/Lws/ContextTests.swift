import Glibc
import Testing

@testable import Confab

@Suite struct ContextTests {
  /// The program that embeds the server may open files while the server stops.
  @Test func destroyingAContextClosesOnlyItsDescriptors() throws {
    for _ in 0..<20 {
      let uv = try UvLoop()
      let context = try Context(Configuration(), nil, on: uv)
      context.destroy()
      // These get the numbers that have just been freed.
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
