/// What happens next in simulated time: a binary heap, earliest first. Events of one moment keep
/// an order of their own, so that a run is the same each time.
struct EventQueue {
    struct Event {
        var time: Int64
        var kind: Kind
        var consumer: Int
    }
    enum Kind: Int {
        /// A batch has arrived in the log.
        case arrived
        /// A thread has read a batch.
        case read
        /// The consumer has worked its batch off, and asks for the next.
        case asked
    }
    private var heap: [Event] = []

    var isEmpty: Bool { heap.isEmpty }

    mutating func add(_ event: Event) {
        heap.append(event)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if !Self.comes(event, before: heap[parent]) { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = event
    }

    mutating func next() -> Event? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        let count = heap.count
        if count == 0 { return first }
        var parent = 0
        while true {
            var child = 2 * parent + 1
            if child >= count { break }
            if child + 1 < count, Self.comes(heap[child + 1], before: heap[child]) { child += 1 }
            if !Self.comes(heap[child], before: last) { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = last
        return first
    }

    private static func comes(_ a: Event, before b: Event) -> Bool {
        if a.time != b.time { return a.time < b.time }
        if a.consumer != b.consumer { return a.consumer < b.consumer }
        return a.kind.rawValue < b.kind.rawValue
    }
}
