import WeirBase
import WeirFlow

/// Whoever waits for a member's next batch.
struct GroupAsker: Sendable {
    let id: UInt64
    let resume: @Sendable (MemberOutcome) -> Void
}

enum MemberOutcome: Sendable {
    case batch(RecordBatch, LeaseBook.Ticket)
    case failure(WeirError)
    case timedOut
    /// The member left: nothing follows.
    case end
}

/// What is to be done outside the lock, after an event.
enum GroupEffect: Sendable {
    case resume(GroupAsker, MemberOutcome)
    case ask(GroupClaim, member: String)
    case end(GroupClaim)
    case note(SignalKind, partition: Int, detail: String)
    case look(afterNanoseconds: Int64)
}

/// A partition under one lease: its subscription, made when a batch is first asked for.
final class GroupClaim: Sendable {
    let partition: Int
    let lease: UInt64
    private let state = Lock(State())

    private struct State {
        var consumer: Consumer?
        var isOver = false
    }

    init(partition: Int, lease: UInt64) {
        self.partition = partition
        self.lease = lease
    }

    /// Asked by one at a time. `nil` once it is over.
    func consumer(
        _ make: () throws(WeirError) -> Consumer
    ) throws(WeirError) -> Consumer? {
        if let known = state.withLock({ $0.isOver ? nil : $0.consumer }) { return known }
        let made = try make()
        let isOver = state.withLock { state in
            if !state.isOver { state.consumer = made }
            return state.isOver
        }
        if isOver { made.end(nil) }
        return isOver ? nil : made
    }

    /// Gives back what was read ahead; its place in the budget, too.
    func end() {
        let consumer = state.withLock { state in
            state.isOver = true
            return state.consumer.take()
        }
        consumer?.end(nil)
    }
}

/// A group's state: who has which partition, what lies ready, and who waits.
///
///     claim   idle ──somebody waits──▶ asked ──batch──▶ ready ──▶ at work ──given back──▶ idle
///
/// A partition has one batch out at most, so its order holds whoever works on it. Every event is a
/// mutating function; what it wants done lies in `effects` afterwards, as with a feed.
struct GroupState {
    struct Ready {
        let claim: GroupClaim
        let outcome: Result<RecordBatch, WeirError>
    }

    struct Seat {
        let id: UInt64
        var claims: [Int: GroupClaim] = [:]
        /// Of its claims, those to ask when somebody waits.
        var idle: Set<Int> = []
        /// Batches that are out, by partition.
        var out: [Int: LeaseBook.Ticket] = [:]
        /// In the order in which they came; one a partition at most.
        var ready: [Ready] = []
        var askers: [GroupAsker] = []
    }

    private(set) var book: LeaseBook
    private(set) var meters: [DeliveryMeter]
    private var seats: [String: Seat] = [:]
    /// Where partitions begin that were never committed, from the first member on.
    var starts: [Offset]?
    /// When somebody looks next for what has lapsed.
    private var lookAt: Moment?
    /// Told to whoever asks from then on.
    private(set) var end: WeirError?
    var effects: [GroupEffect] = []

    init(partitionCount: Int, leaseNanoseconds: Int64, at now: Moment) {
        book = LeaseBook(partitionCount: partitionCount, leaseNanoseconds: leaseNanoseconds)
        meters = Array(repeating: DeliveryMeter(start: now), count: partitionCount)
    }

    // MARK: members

    var memberNames: [String] { book.memberNames }
    func isWaiting(_ member: String) -> Bool { seats[member]?.askers.isEmpty == false }
    func partitions(of member: String) -> [Int] {
        seats[member].map { $0.claims.keys.sorted() } ?? []
    }
    func isSeat(_ seat: UInt64, of member: String) -> Bool { seats[member]?.id == seat }

    mutating func join(_ member: String, seat: UInt64, at now: Moment) throws(WeirError) {
        if let end { throw end }
        guard seats[member] == nil else {
            throw WeirError(
                .alreadyExists,
                "The group has a member \(member) already; choose another name, or have it leave.")
        }
        guard seats.count < Limits.groupMembersMax else {
            throw WeirError(
                .exhausted,
                "The group has \(seats.count) members, and no more may join; have others leave.")
        }
        seats[member] = Seat(id: seat)
        _ = book.join(member, at: now)
        follow(at: now)
    }

    /// Its partitions go on at once; whoever waits is told that it is over.
    mutating func leave(_ member: String, seat: UInt64, at now: Moment) {
        guard let left = seats[member], left.id == seat else { return }
        seats[member] = nil
        for asker in left.askers { effects.append(.resume(asker, .end)) }
        for claim in left.claims.values { effects.append(.end(claim)) }
        book.leave(member)
        follow(at: now)
    }

    /// The stream, or its store, is gone.
    mutating func finish(_ error: WeirError) {
        guard end == nil else { return }
        end = error
        for seat in seats.values {
            for asker in seat.askers { effects.append(.resume(asker, .failure(error))) }
            for claim in seat.claims.values { effects.append(.end(claim)) }
        }
        seats = [:]
    }

    // MARK: batches

    /// Somebody wants the member's next batch.
    mutating func ask(_ member: String, seat: UInt64, _ asker: GroupAsker, at now: Moment) {
        guard seats[member]?.id == seat else {
            return effects.append(.resume(asker, end.map { .failure($0) } ?? .end))
        }
        book.beginCall(member, at: now)
        seats[member]?.askers.append(asker)
        follow(at: now)
        serve(member, at: now)
    }

    /// Whoever still waits with this number gets the outcome instead.
    mutating func giveUp(_ member: String, asker id: UInt64, at now: Moment) {
        guard let index = seats[member]?.askers.firstIndex(where: { $0.id == id }),
            let asker = seats[member]?.askers.remove(at: index)
        else { return }
        book.endCall(member, at: now)
        effects.append(.resume(asker, .timedOut))
        follow(at: now)
    }

    /// What a claim was asked for came.
    mutating func arrived(
        _ claim: GroupClaim, of member: String, _ outcome: Result<RecordBatch?, WeirError>,
        at now: Moment
    ) {
        // Of an earlier lease: its records are read again, from the cursor.
        guard seats[member]?.claims[claim.partition] === claim else { return }
        switch outcome {
        case .success(let batch?):
            seats[member]?.ready.append(Ready(claim: claim, outcome: .success(batch)))
        case .failure(let error):
            seats[member]?.ready.append(Ready(claim: claim, outcome: .failure(error)))
        case .success(nil): break
        }
        serve(member, at: now)
        follow(at: now)
    }

    /// Hands out what is ready, and asks for more while somebody waits.
    private mutating func serve(_ member: String, at now: Moment) {
        guard var seat = seats[member] else { return }
        while let asker = seat.askers.first, let item = seat.ready.first {
            seat.askers.removeFirst()
            seat.ready.removeFirst()
            let partition = item.claim.partition
            switch item.outcome {
            case .success(let batch):
                let ticket = book.handOut(partition, lease: item.claim.lease, at: now)
                meters[partition].note(
                    records: batch.endOffset - batch.firstOffset, bytes: batch.byteCount, at: now)
                seat.out[partition] = ticket
                effects.append(.resume(asker, .batch(batch, ticket)))
            case .failure(let error):
                // The next who asks tries it again.
                seat.idle.insert(partition)
                effects.append(.resume(asker, .failure(error)))
            }
            book.endCall(member, at: now)
        }
        if !seat.askers.isEmpty {
            for partition in seat.idle.sorted() {
                guard let claim = seat.claims[partition] else { continue }
                effects.append(.ask(claim, member: member))
            }
            seat.idle = []
        }
        seats[member] = seat
    }

    // MARK: work

    mutating func renew(
        _ ticket: LeaseBook.Ticket, by member: String, at now: Moment
    ) -> LeaseBook.Answer {
        defer { follow(at: now) }
        return book.renew(ticket, by: member, at: now)
    }

    mutating func release(
        _ ticket: LeaseBook.Ticket, by member: String, at now: Moment
    ) -> LeaseBook.Answer {
        defer { rest(ticket, of: member, at: now) }
        return book.release(ticket, by: member, at: now)
    }

    mutating func beginCommit(
        _ ticket: LeaseBook.Ticket, by member: String, at now: Moment
    ) -> LeaseBook.Answer {
        defer { follow(at: now) }
        return book.beginCommit(ticket, by: member, at: now)
    }

    mutating func endCommit(
        _ ticket: LeaseBook.Ticket, by member: String, isDurable: Bool, at now: Moment
    ) {
        book.endCommit(ticket, by: member, isDurable: isDurable, at: now)
        rest(ticket, of: member, at: now)
    }

    /// The claim may be asked again, if the batch that was given back was the one that is out.
    private mutating func rest(_ ticket: LeaseBook.Ticket, of member: String, at now: Moment) {
        follow(at: now)
        guard let seat = seats[member], let claim = seat.claims[ticket.partition],
            seat.out[ticket.partition] == ticket,
            book.mayHandOut(ticket.partition, lease: claim.lease)
        else { return }
        seats[member]?.out[ticket.partition] = nil
        seats[member]?.idle.insert(ticket.partition)
        serve(member, at: now)
    }

    // MARK: time

    /// Looks what has lapsed.
    mutating func look(at now: Moment) {
        lookAt = nil
        book.expire(at: now)
        follow(at: now)
    }

    /// Performs what the book has decided, and looks again when its next lease may lapse. A later
    /// deadline than the one that is awaited is seen then. An earlier one comes where a commit
    /// failed, whose partition could not lapse meanwhile; a look too many sees nothing.
    private mutating func follow(at now: Moment) {
        let changes = book.changes
        book.changes = []
        var granted: Set<String> = []
        for change in changes {
            switch change {
            case .lapsed(let partition, let member):
                effects.append(
                    .note(.leaseLapsed, partition: partition, detail: "member \(member)"))
            case .lost(let partition, let member, let lease):
                take(partition, lease, from: member)
            case .granted(let partition, let member, let lease, let reason):
                seats[member]?.claims[partition] = GroupClaim(partition: partition, lease: lease)
                seats[member]?.idle.insert(partition)
                note(reason, partition, to: member)
                granted.insert(member)
            }
        }
        for member in granted.sorted() { serve(member, at: now) }
        guard end == nil, let deadline = book.deadline else { return }
        if let lookAt, lookAt <= deadline { return }
        lookAt = deadline
        effects.append(.look(afterNanoseconds: max(0, deadline - now)))
    }

    private mutating func take(_ partition: Int, _ lease: UInt64, from member: String) {
        // Who left has no seat, and no claim.
        guard let claim = seats[member]?.claims[partition], claim.lease == lease else { return }
        seats[member]?.claims[partition] = nil
        seats[member]?.idle.remove(partition)
        seats[member]?.out[partition] = nil
        seats[member]?.ready.removeAll { $0.claim === claim }
        effects.append(.end(claim))
    }

    private mutating func note(_ reason: LeaseBook.Reason, _ partition: Int, to member: String) {
        switch reason {
        case .free: break
        case .moved(let from):
            effects.append(
                .note(.handedOver, partition: partition, detail: "from \(from) to \(member)"))
        case .lapsed(let from):
            effects.append(
                .note(.takenOver, partition: partition, detail: "from \(from) to \(member)"))
        }
    }
}
