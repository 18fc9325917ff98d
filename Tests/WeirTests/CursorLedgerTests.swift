import Testing
import Weir
import WeirBase
import WeirFormat

@Suite("The ledger of cursors")
struct CursorLedgerTests {
    private let key = CursorKey(stream: StreamID(1), name: "c")
    private var ledger = CursorLedger<Int>(countMax: 2)

    private func at(_ offset: UInt64) -> CursorCommit {
        CursorCommit(
            position: CursorPosition(epoch: Epoch(1), offset: Offset(offset)), time: .distantPast)
    }

    private mutating func commit(
        _ offset: UInt64, force: Bool = false, _ waiter: Int = 0
    ) throws -> CursorLedger<Int>.Action {
        try ledger.commit(key, at(offset), force: force, waiter: waiter)
    }

    private mutating func finish(
        isDurable: Bool = true
    ) -> ([Int], CursorLedger<Int>.Change?) { ledger.finish(key, isDurable: isDurable) }

    private var standing: UInt64? {
        guard case .at(let commit, _)? = ledger.standing(of: key) else { return nil }
        return commit.position.offset.value
    }

    @Test mutating func `stands at a commit once that is durable, and not before`() throws {
        let action = try commit(5, 1)
        #expect(action == .write(.move(at(5))))
        #expect(standing == nil)
        let (told, next) = finish()
        #expect(told == [1] && next == nil)
        #expect(standing == 5)
    }

    @Test mutating func `writes the newest of those that came meanwhile, and tells them all`()
        throws
    {
        _ = try commit(5, 1)
        for (offset, waiter) in [(7, 2), (9, 3), (8, 4), (4, 5)] {
            let action = try commit(UInt64(offset), waiter)
            #expect(action == .wait)
        }
        let first = finish()
        // The record of 5 covers 4 too, but it came when 9 was asked for, and is told with that.
        #expect(first.0 == [1])
        #expect(first.1 == .move(at(9)))
        let second = finish()
        #expect(second.0 == [2, 3, 4, 5] && second.1 == nil)
        #expect(standing == 9)
    }

    @Test mutating func `lets nobody go back, unless forced`() throws {
        _ = try commit(5)
        _ = finish()
        let error = #expect(throws: WeirError.self) { try commit(4) }
        #expect(error?.code == .unexpectedOffset)
        let action = try commit(4, force: true)
        #expect(action == .write(.move(at(4))))
        let later = #expect(throws: WeirError.self) { try commit(3) }
        #expect(later?.code == .unexpectedOffset)
        _ = finish()
        #expect(standing == 4)
    }

    @Test mutating func `goes not back on the account of a forced commit that failed`() throws {
        _ = try commit(100)
        _ = finish()
        _ = try commit(50, force: true, 1)
        let action = try commit(60, 2)
        #expect(action == .wait)
        let failed = finish(isDurable: false)
        #expect(failed.0 == [1, 2] && failed.1 == nil)
        #expect(standing == 100)
        _ = try commit(50, force: true, 3)
        _ = try commit(40, force: true, 4)
        let again = finish(isDurable: false)
        #expect(again.0 == [3] && again.1 == .move(at(40)))
        _ = finish()
        #expect(standing == 40)
    }

    @Test mutating func `asks for no record where the position is durable already`() throws {
        _ = try commit(5)
        _ = finish()
        let action = try commit(5)
        #expect(action == .done)
    }

    @Test mutating func `writes anew where records were lost, at the place that is left`() throws {
        ledger.load([key: .at(at(5), lost: Offset(9))])
        let action = try commit(5)
        #expect(action == .write(.move(at(5))))
    }

    @Test mutating func `stays where it was when a record fails, and goes on with the next`()
        throws
    {
        _ = try commit(5, 1)
        _ = finish()
        _ = try commit(7, 2)
        _ = try commit(9, 3)
        let failed = finish(isDurable: false)
        #expect(failed.0 == [2] && failed.1 == .move(at(9)))
        #expect(standing == 5)
        _ = finish()
        #expect(standing == 9)
    }

    @Test mutating func `forgets a cursor that is removed, and begins anew behind it`() throws {
        _ = try commit(5)
        _ = finish()
        let action = try ledger.remove(key, waiter: 1)
        #expect(action == .write(.remove))
        // Commits after it are held against nothing that was before it.
        let again = try commit(2, 2)
        #expect(again == .wait)
        let (told, next) = finish()
        #expect(told == [1] && next == .move(at(2)))
        #expect(standing == nil)
        _ = finish()
        #expect(standing == 2)
    }

    @Test mutating func `has no cursor to remove that never committed`() {
        let error = #expect(throws: WeirError.self) { try ledger.remove(key, waiter: 0) }
        #expect(error?.code == .notFound)
    }

    @Test mutating func `refuses the commit of a cursor that it cannot read, but for a forced one`()
        throws
    {
        ledger.load([key: .unreadable(WeirError(.newerFormat, "Version 2."))])
        let error = #expect(throws: WeirError.self) { try commit(5) }
        #expect(error?.code == .newerFormat)
        let action = try commit(5, force: true)
        #expect(action == .write(.move(at(5))))
    }

    @Test mutating func `keeps no more cursors than it may`() throws {
        for name in ["a", "b"] {
            let key = CursorKey(stream: StreamID(1), name: name)
            _ = try ledger.commit(key, at(1), force: false, waiter: 0)
        }
        let error = #expect(throws: WeirError.self) { try commit(1) }
        #expect(error?.code == .exhausted)
    }
}
