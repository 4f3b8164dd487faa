import ArgumentParser
import CLoad
import Foundation
import Glibc

/// The load generator, in a process of its own: its CPU time must not be the runner's.
struct Load: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Give one server work, and tell what it took.", shouldDisplay: false)
  @Argument(help: "The bytes of load_options, in base 64.") var options: String

  /// Beyond what is to be measured, and waited for: setting it up, and a server that does not take what it is sent.
  private static let patience = 120.0

  func run() throws {
    let options: load_options = try value(of: Data(base64Encoded: options))
    alarm(UInt32(options.warmup + options.seconds + options.patience + Load.patience))
    FileHandle.standardOutput.write(data(of: load_run(options)))
  }

  static func inAProcess(_ load: load_options) throws -> load_result {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
    process.arguments = ["load", data(of: load).base64EncodedString()]
    process.standardOutput = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return try value(of: data)
  }
}

// Both processes run this program: a C struct's bytes are all that has to pass between them.

private func data<Value: BitwiseCopyable>(of value: Value) -> Data {
  unsafe withUnsafeBytes(of: value) { unsafe Data($0) }
}

private func value<Value: BitwiseCopyable>(of data: Data?) throws -> Value {
  guard let data, data.count == MemoryLayout<Value>.size else { throw ValidationError("the load generator has failed") }
  return unsafe data.withUnsafeBytes { unsafe $0.loadUnaligned(as: Value.self) }
}
