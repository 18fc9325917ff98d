/// Keeps what is mostly absent: one word until it is there, and then an object of its own.
///
/// An error has 128 bytes. Each stream of a store has five places where one may stand, and a store
/// may have 10,000 streams.
@propertyWrapper
package struct Rare<Value: Sendable>: Sendable {
    private final class Box: Sendable {
        let value: Value
        init(_ value: Value) { self.value = value }
    }
    private var box: Box?

    package init(wrappedValue: Value?) { box = wrappedValue.map(Box.init) }

    package var wrappedValue: Value? {
        get { box?.value }
        set { box = newValue.map(Box.init) }
    }
}
