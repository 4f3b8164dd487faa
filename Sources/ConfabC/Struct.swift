internal import CConfab

/// A struct of the header, which begins with its size.
protocol SizedStruct {
  init()
  var size: Int { get set }
  /// Its sizes in earlier versions of the header.
  static var earlierSizes: [Int] { get }
}

extension confab_config: @unsafe SizedStruct {}
extension confab_callbacks: SizedStruct {}
extension confab_identity: @unsafe SizedStruct {}
extension confab_mount: @unsafe SizedStruct {}
extension confab_statistics: SizedStruct {}

extension SizedStruct {
  static var earlierSizes: [Int] { [] }
  private static var sizes: [Int] { earlierSizes + [MemoryLayout<Self>.stride] }

  private static func check(_ size: Int) throws(CError) {
    guard sizes.contains(size) else {
      throw CError(
        CONFAB_ERROR_SIZE,
        "\(size) is not the size of \(Self.self), which is \(sizes.last!) bytes in confab.h \(CONFAB_VERSION): "
          + "its init function must be called first, with sizeof")
    }
  }

  private static var null: CError { .argument("the \(Self.self) is NULL") }

  /// Writes `value` to the caller's struct of `size` bytes, up to the last member of that struct. If the size is wrong,
  /// sets the struct's size to 0, which all other functions reject.
  static func write(_ value: Self, to target: UnsafeMutablePointer<Self>?, _ size: Int) throws(CError) {
    guard let target = UnsafeMutableRawPointer(target) else { throw null }
    do throws(CError) {
      try check(size)
    } catch {
      if size >= MemoryLayout<Int>.size { unsafe target.storeBytes(of: 0, as: Int.self) }
      throw error
    }
    var value = value
    value.size = size
    unsafe withUnsafeBytes(of: &value) { unsafe target.copyMemory(from: $0.baseAddress!, byteCount: size) }
  }

  /// Reads the caller's struct. Members that the struct does not have are taken from `defaults`.
  static func read(_ source: UnsafePointer<Self>?, defaults: Self = Self()) throws(CError) -> Self {
    guard let source = unsafe UnsafeRawPointer(source) else { throw null }
    let size = unsafe source.load(as: Int.self)
    try check(size)
    var value = defaults
    unsafe withUnsafeMutableBytes(of: &value) { unsafe $0.copyMemory(from: .init(start: source, count: size)) }
    return value
  }
}
