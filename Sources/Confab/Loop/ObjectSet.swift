/// A set of objects, by identity. It keeps them alive.
struct ObjectSet<Object: AnyObject> {
  private var objects: [ObjectIdentifier: Object] = [:]

  var isEmpty: Bool { objects.isEmpty }
  var all: some Collection<Object> { objects.values }

  mutating func insert(_ object: Object) { objects[ObjectIdentifier(object)] = object }

  /// Returns whether the set contained the object.
  @discardableResult
  mutating func remove(_ object: Object) -> Bool { objects.removeValue(forKey: ObjectIdentifier(object)) != nil }
}
