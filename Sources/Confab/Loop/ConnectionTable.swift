/// The connections of an event loop. The table keeps them alive.
struct ConnectionTable {
  /// All connections, each at its ``Connection/index``.
  private(set) var all: ContiguousArray<Connection> = []
  /// Connections whose handshake has arrived since the last poll.
  private var justOpened: ContiguousArray<Connection> = []

  mutating func add(_ connection: Connection) {
    connection.index = Int32(all.count)
    all.append(connection)
    justOpened.append(connection)
  }

  mutating func remove(_ connection: Connection) {
    let last = all.removeLast()
    guard connection.index < all.count else { return }
    all[Int(connection.index)] = last
    last.index = connection.index
  }

  /// Returns the connections whose handshake has arrived since the last call.
  mutating func takeJustOpened() -> ContiguousArray<Connection> { exchange(&justOpened, with: []) }
}
