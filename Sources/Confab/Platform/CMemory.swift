internal import CLibwebsockets

/// Memory of C's allocator, which is handed to C code or comes from it.
package enum CMemory {
  /// Returns a copy of a text. The caller frees it.
  package static func copy(_ text: String) -> UnsafeMutablePointer<CChar> {
    guard let copy = unsafe strdup(text) else { fatalError("out of memory") }
    return unsafe copy
  }

  package static func free(_ memory: UnsafeMutableRawPointer?) { unsafe CLibwebsockets.free(memory) }
}

/// A text for each thread, as a C string. It is freed when the thread ends, or gets another text.
package struct ThreadText: Sendable {
  private let key: pthread_key_t

  package init() {
    var key = pthread_key_t()
    let failure = unsafe pthread_key_create(&key) { unsafe free($0) }
    precondition(failure == 0, "no thread-specific data key is available")
    self.key = key
  }

  /// Sets the text of the calling thread.
  package func set(_ text: String) {
    unsafe CMemory.free(pthread_getspecific(key))
    unsafe pthread_setspecific(key, CMemory.copy(text))
  }

  /// The text of the calling thread; nil if it has none.
  package var value: UnsafePointer<CChar>? {
    unsafe UnsafePointer(pthread_getspecific(key)?.assumingMemoryBound(to: CChar.self))
  }
}
