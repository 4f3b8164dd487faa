import CConfab
import Testing

@testable import ConfabC

/// A struct that first had one member and now has two.
private struct Grown: SizedStruct {
  var size = 24
  var old = 1
  var new = 2
  static var earlierSizes: [Int] { [16] }
}

/// Programs compiled with an older header pass a smaller struct.
struct StructTests {
  @Test func writesOnlyFieldsThatAnOldProgramKnows() throws {
    var target = Grown(size: 0, old: 0, new: 77)
    try unsafe Grown.write(Grown(), to: &target, 16)
    #expect((target.size, target.old, target.new) == (16, 1, 77))
    try unsafe Grown.write(Grown(), to: &target, 24)
    #expect((target.size, target.old, target.new) == (24, 1, 2))
  }

  @Test func fieldsMissingInAnOldProgramHaveTheirDefaults() throws {
    var source = Grown(size: 16, old: 5, new: 77)
    let read = try unsafe Grown.read(&source)
    #expect((read.old, read.new) == (5, 2))
    source.size = 24
    #expect(try unsafe Grown.read(&source).new == 77)
  }

  @Test(arguments: [-1, 0, 8, 15, 17, 23, 25, Int.max]) func rejectsOtherSizes(size: Int) {
    var target = Grown(size: 24, old: 5, new: 6)
    #expect(throws: CError.self) { try unsafe Grown.write(Grown(), to: &target, size) }
    #expect((target.old, target.new) == (5, 6))
    target.size = size
    #expect(throws: CError.self) { try unsafe Grown.read(&target) }
  }
}
