package import WeirBase

/// Those who wait at a gate, in the order in which they came.
///
/// Tickets are consecutive numbers, so a ticket's place is known without a search; whoever leaves
/// the line leaves a hole that is stepped over.
package struct TicketLine: Sendable, Hashable {
    package typealias Ticket = UInt64

    /// `nil` where somebody left.
    private var sizes: [Credit?] = []
    /// The ticket of `sizes[0]`.
    private var base: Ticket = 0
    /// The first who still waits; everything before it is gone.
    private var head = 0
    package private(set) var count = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }

    /// What the first asks for.
    package var first: Credit? { head < sizes.count ? sizes[head] : nil }

    package mutating func append(_ size: Credit) -> Ticket {
        sizes.append(size)
        count += 1
        return base + Ticket(sizes.count - 1)
    }

    package mutating func removeFirst() -> Ticket {
        precondition(count > 0, "nobody stands in the line")
        let ticket = base + Ticket(head)
        sizes[head] = nil
        count -= 1
        skipHoles()
        return ticket
    }

    /// Whether the ticket still stood in the line.
    package mutating func remove(_ ticket: Ticket) -> Bool {
        guard ticket >= base, let index = Int(exactly: ticket - base), index < sizes.count,
            sizes[index] != nil
        else { return false }
        sizes[index] = nil
        count -= 1
        skipHoles()
        return true
    }

    package mutating func removeAll() -> [Ticket] {
        var tickets: [Ticket] = []
        while !isEmpty { tickets.append(removeFirst()) }
        return tickets
    }

    /// Keeps `head` at somebody who waits, and gives memory back when half of it is gone.
    private mutating func skipHoles() {
        while head < sizes.count, sizes[head] == nil { head += 1 }
        guard head * 2 >= sizes.count else { return }
        base += Ticket(head)
        sizes.removeFirst(head)
        head = 0
    }
}
