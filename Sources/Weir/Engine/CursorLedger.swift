package import WeirBase
package import WeirFormat

/// Where a cursor stands, as far as its newest record can be read.
package enum CursorStanding: Sendable {
    /// `lost`: it had stood there, beyond what power loss left of the stream.
    case at(CursorCommit, lost: Offset?)
    /// Its newest record is of a newer Weir, say.
    case unreadable(WeirError)
}

/// Which commits of cursors are written, and who is told of which: a decider.
///
///     standing ◀──finish── flying (one record under way) ◀──finish── next (the newest asked for)
///        │                   │ those who wait for it                  │ those who wait for it
///        └ durable           └ or for less                            └ or for less
///
/// Of each cursor one record at a time is on its way; commits that come meanwhile are one, the
/// newest, so a cursor that is committed often costs a record a sync. A position never goes back
/// unless it is forced to, or the cursor removed.
package struct CursorLedger<Waiter: Sendable>: Sendable {
    /// What a record says.
    package enum Change: Sendable, Hashable {
        case move(CursorCommit)
        case remove

        /// Zero for a removal.
        package var offset: Offset {
            switch self {
            case .move(let commit): commit.position.offset
            case .remove: .zero
            }
        }
    }

    package enum Action: Sendable, Hashable {
        /// The record is the caller's to append; `finish` says what became of it.
        case write(Change)
        /// The waiter is told by a record that is under way, or will be.
        case wait
        /// It is durable already; the waiter is told of nothing.
        case done
    }

    private struct Entry: Sendable {
        var standing: CursorStanding?
        var flying: Change?
        var flyingWaiters: [Waiter] = []
        var next: Change?
        var nextWaiters: [Waiter] = []
        /// Somebody forced it, so it holds wherever the cursor stands then.
        var isNextForced = false
        /// Something under way may set the cursor back: it is what later commits are held against.
        var isForced = false

        /// What nobody forced would set the cursor back from where it stands durably.
        var nextGoesBack: Bool {
            guard let next, !isNextForced else { return false }
            switch standing {
            case .at(let commit, _): return next.offset < commit.position.offset
            case .unreadable: return true
            case nil: return false
            }
        }
    }
    private var entries: [CursorKey: Entry] = [:]
    private let countMax: Int

    package init(countMax: Int = Limits.cursorsMax) { self.countMax = countMax }

    /// What `weir.cursors` says. Nothing may be under way.
    package mutating func load(_ standings: [CursorKey: CursorStanding]) {
        entries = standings.mapValues { Entry(standing: $0) }
    }

    /// The durable standing.
    package func standing(of key: CursorKey) -> CursorStanding? { entries[key]?.standing }

    /// All that stand durably, in any order.
    package var standings: [CursorKey: CursorStanding] { entries.compactMapValues(\.standing) }

    // MARK: events

    /// Somebody has processed everything below an offset.
    ///
    /// Throws `unexpectedOffset` for one below the cursor's own unless `force`, what makes the
    /// cursor unreadable, `exhausted` for one cursor too many.
    package mutating func commit(
        _ key: CursorKey, _ commit: CursorCommit, force: Bool, waiter: Waiter
    ) throws(WeirError) -> Action {
        var entry = try entry(for: key)
        if !force {
            try expectForward(key, entry, commit.position.offset)
            if let action = joined(&entry, commit.position.offset, waiter) {
                entries[key] = entry
                return action
            }
        }
        defer { entries[key] = entry }
        return queue(.move(commit), &entry, isForced: force, waiter)
    }

    /// The cursor is to be forgotten. Throws `notFound` where there is none.
    package mutating func remove(_ key: CursorKey, waiter: Waiter) throws(WeirError) -> Action {
        guard var entry = entries[key] else { throw Self.noCursor(key.name) }
        defer { entries[key] = entry }
        return queue(.remove, &entry, isForced: true, waiter)
    }

    /// The record under way is durable, or nobody knows whether it is. Those who waited for it are
    /// to be told, and the next record is the caller's to append.
    package mutating func finish(
        _ key: CursorKey, isDurable: Bool
    ) -> (waiters: [Waiter], next: Change?) {
        guard var entry = entries[key], let flown = entry.flying else { return ([], nil) }
        var waiters = entry.flyingWaiters
        if isDurable {
            switch flown {
            case .move(let commit): entry.standing = .at(commit, lost: nil)
            case .remove: entry.standing = nil
            }
        }
        if !isDurable, entry.nextGoesBack {
            // It was taken because a forced commit went before it, which failed: so does it.
            waiters += entry.nextWaiters
            (entry.next, entry.nextWaiters) = (nil, [])
        }
        entry.flying = entry.next
        entry.flyingWaiters = entry.nextWaiters
        entry.next = nil
        entry.nextWaiters = []
        entry.isNextForced = false
        if entry.flying == nil { entry.isForced = false }
        entries[key] = entry.flying == nil && entry.standing == nil ? nil : entry
        return (waiters, entry.flying)
    }

    /// The cursors of a stream, those among them whose first commit is under way.
    package func keys(of stream: StreamID) -> [CursorKey] {
        entries.keys.filter { $0.stream == stream }
    }

    // MARK: deciding

    private func entry(for key: CursorKey) throws(WeirError) -> Entry {
        if let entry = entries[key] { return entry }
        guard entries.count < countMax else {
            throw WeirError(
                .exhausted,
                "The store has \(entries.count) cursors, as many as it may; remove some that "
                    + "nobody uses.")
        }
        return Entry()
    }

    /// Whether the offset is not below what the cursor is known to have reached.
    private func expectForward(
        _ key: CursorKey, _ entry: Entry, _ offset: Offset
    ) throws(WeirError) {
        var floor: Offset?
        if entry.isForced {
            floor = (entry.next ?? entry.flying)?.offset
        } else {
            switch entry.standing {
            case .at(let commit, _): floor = commit.position.offset
            case .unreadable(let error): throw error
            case nil: break
            }
        }
        guard let floor, offset < floor else { return }
        throw WeirError(
            .unexpectedOffset,
            "The cursor \(key.name) stands at offset \(floor), and \(offset) lies before it; "
                + "commit what comes behind it, or force it back (`force: true`, `--force`) to "
                + "have records processed again.", at: .init(offset: floor))
    }

    /// Waits for a record that covers the offset, if there is one.
    private func joined(_ entry: inout Entry, _ offset: Offset, _ waiter: Waiter) -> Action? {
        if let next = entry.next {
            guard next != .remove, next.offset >= offset else { return nil }
            entry.nextWaiters.append(waiter)
            return .wait
        }
        if let flying = entry.flying {
            guard flying != .remove, flying.offset >= offset else { return nil }
            entry.flyingWaiters.append(waiter)
            return .wait
        }
        if case .at(let commit, lost: nil) = entry.standing, commit.position.offset == offset {
            return .done
        }
        return nil
    }

    private func queue(
        _ change: Change, _ entry: inout Entry, isForced: Bool, _ waiter: Waiter
    ) -> Action {
        entry.isForced = entry.isForced || isForced
        guard entry.flying != nil else {
            entry.flying = change
            entry.flyingWaiters = [waiter]
            return .write(change)
        }
        entry.next = change
        entry.isNextForced = entry.isNextForced || isForced
        entry.nextWaiters.append(waiter)
        return .wait
    }

    package static func noCursor(_ name: String) -> WeirError {
        WeirError(
            .notFound,
            "There is no cursor \(name); `weir cursor ls` shows those that there are.")
    }
}
