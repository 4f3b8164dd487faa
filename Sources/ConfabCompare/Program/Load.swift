import ArgumentParser
import CLoad
import Foundation
import Glibc

/// Runs the load generator in a separate process, so that its CPU time is not counted with the runner's.
struct Load: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run one workload on a server, and measure its cost.", shouldDisplay: false)
  @Argument(help: "The bytes of load_options, in base 64.") var options: String

  /// Extra time for the setup and for a server that does not take its input, in seconds.
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

// Both processes run this program, so a C struct is passed as bytes.

private func data<Value: BitwiseCopyable>(of value: Value) -> Data {
  unsafe withUnsafeBytes(of: value) { unsafe Data($0) }
}

private func value<Value: BitwiseCopyable>(of data: Data?) throws -> Value {
  guard let data, data.count == MemoryLayout<Value>.size else { throw ValidationError("the load generator has failed") }
  return unsafe data.withUnsafeBytes { unsafe $0.loadUnaligned(as: Value.self) }
}
