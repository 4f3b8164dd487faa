@testable import Confab

/// ``Assembly`` accepts what a simple model accepts, rejects the rest for the model's reason, and joins all bytes. The
/// model joins everything first and checks it as a whole.
func fuzzAssembly(_ input: inout Input) {
  var configuration = Configuration()
  configuration.maxMessageSize = 1 + Int(input.byte())
  configuration.maxFragments = 1 + input.index(below: 8)
  let limits = Assembly.Limits(configuration)
  let kind = input.element(of: [Message.Kind.text, .binary])
  let assembly = Assembly(kind)
  var whole: [UInt8] = []
  var ends = 0
  while !input.isEmpty {
    let remaining = input.element(of: [0, 0, 0, 1, 100, 256, .max - 256, .max])
    let isFinal = remaining == 0 && input.flag()
    let piece = input.bytes(input.index(below: 65))
    whole += piece
    if remaining == 0 { ends += 1 }
    let isTooBig = whole.count > configuration.maxMessageSize || remaining > configuration.maxMessageSize - whole.count
    let expected: AssemblyError? =
      isTooBig ? .tooBig : ends > configuration.maxFragments ? .tooManyFragments : isWrong(whole, kind, isFinal)
    let reason = rejected { () throws(AssemblyError) in
      try assembly.add(piece.span, remaining: remaining, isFinal: isFinal, limits: limits)
    }
    require(reason == expected, "\(String(describing: reason)) in place of \(String(describing: expected)): \(whole)")
    if reason == nil { require(assembly.bytes == whole, "\(assembly.bytes) in place of \(whole)") }
    if reason == nil && !isFinal { continue }
    if isFinal && expected != .tooManyFragments {
      let alone = rejected { () throws(AssemblyError) in
        try Assembly.check(Message(kind, whole.span), limits: limits)
      }
      require(alone == expected, "in one piece \(String(describing: alone)): \(whole)")
    }
    return
  }
}

private func rejected(_ body: () throws(AssemblyError) -> Void) -> AssemblyError? {
  do throws(AssemblyError) {
    try body()
    return nil
  } catch {
    return error
  }
}

/// A complete text must be valid; an incomplete one may lack at most three bytes at its end.
private func isWrong(_ bytes: [UInt8], _ kind: Message.Kind, _ isFinal: Bool) -> AssemblyError? {
  if kind == .binary { return nil }
  return (isFinal ? isText(bytes) : mayBecomeText(bytes)) ? nil : .notUtf8
}
