import Testing

@testable import ConfabNats

struct SubjectTests {
  @Test(arguments: [("/tea", "%2Ftea"), ("a-Z_9", "a-Z_9"), ("a.b *>", "a%2Eb%20%2A%3E"), ("你", "%E4%BD%A0"), ("", "")])
  func anyTextIsOneToken(text: String, token: String) {
    #expect(Subject.escaped(text) == token)
    #expect(Subject.unescaped(token) == text)
  }

  @Test(arguments: ["%", "%4", "%zz", "100%"])
  func unescaped_text_stays(text: String) { #expect(Subject.unescaped(text) == text) }
}
