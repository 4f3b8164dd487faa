@testable import Confab

/// Compares ``Utf8Validator`` with the standard library after each piece of a text split at random: whether the text is
/// valid, or may become valid with at most three more bytes. Also checks the validation of a whole text.
func fuzzUtf8(_ input: inout Input) {
  var validator = Utf8Validator()
  var whole: [UInt8] = []
  var generator = UInt32(input.byte())
  while !input.isEmpty {
    generator = generator &* 1_664_525 &+ 1_013_904_223
    let piece = input.bytes(1 + Int(generator >> 24) % 19)
    whole += piece
    let isAccepted = validator.accept(piece.span)
    require(isAccepted == mayBecomeText(whole), "\(isAccepted ? "accepts" : "rejects") \(whole)")
    guard isAccepted else { break }
    require(Utf8Validator.isValid(whole.span) == isText(whole), "at once something else: \(whole)")
    require(validator.isComplete == isText(whole), "\(validator.isComplete ? "complete" : "incomplete"): \(whole)")
  }
}
