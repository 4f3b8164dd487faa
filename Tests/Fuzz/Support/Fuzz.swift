import FoundationEssentials

/// Each fuzzer reads one input. The environment variable FUZZER names the one that the program runs: fifteen programs
/// would take minutes to build.
private let fuzzers: [String: @Sendable (inout Input) -> Void] = [
  "FuzzAssembly": fuzzAssembly, "FuzzCompression": fuzzCompression, "FuzzEvents": fuzzEvents,
  "FuzzHistory": fuzzHistory, "FuzzHistoryDatabase": fuzzHistoryDatabase, "FuzzLog": fuzzLog, "FuzzOrigin": fuzzOrigin,
  "FuzzPath": fuzzPath, "FuzzProxy": fuzzProxy, "FuzzRates": fuzzRates, "FuzzRequest": fuzzRequest,
  "FuzzRestriction": fuzzRestriction, "FuzzStream": fuzzStream, "FuzzToken": fuzzToken, "FuzzUtf8": fuzzUtf8,
]

private let chosen = {
  let name = ProcessInfo.processInfo.environment["FUZZER"] ?? ""
  guard let fuzzer = fuzzers[name] else { fatalError("FUZZER is '\(name)', not one of \(fuzzers.keys.sorted())") }
  return fuzzer
}()

@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  var input = Input(start, count)
  chosen(&input)
  return 0
}
