import Testing
import Weir
import WeirBase
import WeirFiles
import WeirFormat
import WeirLog
import WeirTesting

@Suite("Repairing a store")
struct RepairTests {
    /// Kinds of damage that a repair leaves as it is.
    private static let staying: Set<DamageReport.Kind> = [
        .damagedBatches, .falseBatch, .missingOffsets,
    ]

    private func plan(_ store: DoctorStore) throws -> RepairPlan {
        try Store.plan(try store.verify().findings, files: store.disk)
    }

    @discardableResult
    private func repair(_ store: DoctorStore) throws -> RepairReport {
        try Store.repair(
            files: store.disk, host: store.host, performing: try plan(store), deep: true)
    }

    /// The first offsets of all batches, past gaps, also of a store that has lost its file WEIR.
    private func offsets(_ store: DoctorStore) throws -> [UInt64] {
        let engine = try StoreEngine.openReadOnly(
            files: store.disk, host: store.host,
            header: StoreHeader(storeID: StoreID(1), creationTime: .distantPast))
        var cursor = LogCursor(view: try SmallStream.view(engine), at: .zero)
        var found: [UInt64] = []
        while true {
            switch try cursor.next() {
            case .batch(let header): found.append(header.firstOffset.value)
            case .gap: continue
            case .end, .held: return found
            }
        }
    }

    @Test(arguments: VerifyTests.cases)
    func `leaves a store in which only damaged records are wrong`(
        _ one: VerifyTests.Case
    ) throws {
        let store = try DoctorStore.make()
        try one.damage(store)
        let before = try plan(store)
        try repair(store)
        let after = try store.verify().findings
        #expect(Set(after.map(\.kind)).isSubset(of: Self.staying), "\(after)")
        #expect(before.remaining.allSatisfy { Self.staying.contains($0.kind) })
        #expect(try plan(store).steps.isEmpty)
    }

    @Test(arguments: VerifyTests.cases)
    func `changes no batch, and an opening finds all that was there before`(
        _ one: VerifyTests.Case
    ) throws {
        let store = try DoctorStore.make()
        try one.damage(store)
        let before = try offsets(store)
        try repair(store)
        #expect(try offsets(store) == before)
        let engine = try StoreEngine.open(files: store.disk, host: store.host, creating: false)
        #expect(engine.reports.allSatisfy { Self.staying.contains($0.kind) }, "\(engine.reports)")
        #expect(try SmallStream.writer(engine).nextOffset == Offset(5))
        try engine.close()
    }

    @Test func `is a plan first, and changes nothing`() throws {
        let store = try DoctorStore.make()
        try store.flipFromEnd(store.segments[0], 100)
        let before = try store.content()
        let plan = try plan(store)
        #expect(plan.steps.map(\.kind) == [.recoverStream, .writeFooter])
        #expect(try store.content() == before)
    }

    @Test func `says which offsets are lost with a segment, and does not give them again`() throws {
        let store = try DoctorStore.make()
        try store.disk.removeFile(try #require(store.segments.last))
        let step = try #require(try plan(store).steps.last)
        #expect(step.kind == .acknowledgeLoss)
        try repair(store)
        let engine = try StoreEngine.open(files: store.disk, host: store.host, creating: false)
        #expect(engine.reports.isEmpty)
        #expect(try SmallStream.writer(engine).nextOffset == Offset(5))
        try engine.close()
    }

    @Test func `of a killed writer's store gives no offset again, with no file tail either`() throws
    {
        let store = try DoctorStore.make(isClosed: false)
        try store.disk.removeFile(store.segments[1])
        try repair(store)
        try store.disk.removeFile(StoreLayout.tail)
        #expect(try store.verify().isHealthy)
        let engine = try StoreEngine.open(files: store.disk, host: store.host, creating: false)
        #expect(engine.reports.isEmpty)
        #expect(try SmallStream.writer(engine).nextOffset == Offset(5))
        try engine.close()
        #expect(try offsets(store) == [0, 1, 4])
    }

    @Test func `keeps what it writes over and removes, and lists it`() throws {
        let store = try DoctorStore.make()
        let path = StoreLayout.stream(store.id) + "/notes.txt"
        try store.write(path, Array("hello".utf8))
        let folder = try #require(try repair(store).folder)
        #expect(throws: WeirError.self) { try store.bytes(path) }
        #expect(try store.bytes(folder + "/1-notes.txt") == Array("hello".utf8))
        let list = String(
            decoding: try store.bytes(folder + "/" + StoreLayout.repairListName), as: UTF8.self)
        let checksum = String(crc32c(Array("hello".utf8)), radix: 16)
        #expect(list == "1-notes.txt\t\(path)\t0\t5\t\(checksum)\tno part of the store\n")
    }

    @Test func `takes the store's id from the file tail where WEIR is lost`() throws {
        let store = try DoctorStore.make()
        let before = try store.bytes(StoreLayout.header)
        try store.disk.removeFile(StoreLayout.header)
        try repair(store)
        let after = try StoreHeader.decode(try store.bytes(StoreLayout.header))
        #expect(after.storeID == (try StoreHeader.decode(before)).storeID)
    }

    @Test func `counts epochs on where EPOCHS is lost`() throws {
        let store = try DoctorStore.make()
        try store.disk.removeFile(StoreLayout.epochs)
        try repair(store)
        let engine = try StoreEngine.open(files: store.disk, host: store.host, creating: false)
        #expect(engine.epoch == Epoch(2))
        try engine.close()
    }

    @Test func `is refused while a writer has the store open`() throws {
        let store = try DoctorStore.make()
        try store.flipFromEnd(store.segments[0], 100)
        let plan = try plan(store)
        let engine = try StoreEngine.open(files: store.disk, host: store.host, creating: false)
        let error = #expect(throws: WeirError.self) {
            try Store.repair(
                files: store.disk, host: store.host, performing: plan, deep: true)
        }
        #expect(error?.code == .locked)
        try engine.close()
    }

    @Test func `is refused where the store has changed since the plan was made`() throws {
        let store = try DoctorStore.make()
        try store.flipFromEnd(store.segments[0], 100)
        let plan = try plan(store)
        try store.disk.removeFile(store.segments[1])
        let before = try store.content()
        let error = #expect(throws: WeirError.self) {
            try Store.repair(
                files: store.disk, host: store.host, performing: plan, deep: true)
        }
        #expect(error?.code == .invalidArgument)
        var after = try store.content()
        after[StoreLayout.lock] = before[StoreLayout.lock]
        #expect(after == before)
    }

    @Test(arguments: VerifyTests.cases)
    func `may stop at any operation, by a kill or power loss, and be done again`(
        _ one: VerifyTests.Case
    ) throws {
        var operation = 0
        while true {
            let store = try DoctorStore.make()
            try one.damage(store)
            let plan = try plan(store)
            let before = try offsets(store)
            store.disk.stop(after: operation)
            do {
                _ = try Store.repair(
                    files: store.disk, host: store.host, performing: plan, deep: true)
            } catch {
                #expect(store.disk.hasStopped)
            }
            guard store.disk.hasStopped else { return }
            let seeds = (0..<4).map { UInt64(operation * 4 + $0) }
            for disk in [store.disk.afterKill()]
                + seeds.map({ store.disk.afterPowerLoss(seed: $0) })
            {
                let left = DoctorStore(
                    disk: disk, host: store.host, id: store.id, segments: store.segments)
                try repair(left)
                let after = try left.verify().findings
                #expect(
                    Set(after.map(\.kind)).isSubset(of: Self.staying), "at \(operation): \(after)")
                #expect(try offsets(left) == before, "at operation \(operation)")
            }
            operation += 1
        }
    }

    /// Nothing lends room to a repair, so the first that ends well had no write left to fail.
    @Test(arguments: VerifyTests.cases)
    func `may find the disk full at any write, and is done again with room`(
        _ one: VerifyTests.Case
    ) throws {
        var write = 1
        while true {
            let store = try DoctorStore.make()
            try one.damage(store)
            let plan = try plan(store)
            let before = try offsets(store)
            store.disk.failWrite(after: write)
            do throws(WeirError) {
                _ = try Store.repair(
                    files: store.disk, host: store.host, performing: plan, deep: true)
                #expect(write > 1)
                return
            } catch {
                #expect(error.code == .noSpace, "write \(write): \(error)")
            }
            let left = DoctorStore(
                disk: store.disk.afterKill(), host: store.host, id: store.id,
                segments: store.segments)
            #expect(try offsets(left) == before, "write \(write)")
            try repair(left)
            let after = try left.verify().findings.filter(\.isDamage)
            #expect(Set(after.map(\.kind)).isSubset(of: Self.staying), "write \(write): \(after)")
            #expect(try offsets(left) == before, "write \(write)")
            write += 1
        }
    }

    /// What a repair's folder has of a file: where the copy begins there, and its bytes.
    private func copies(
        of path: String, in folder: String, _ content: [String: [UInt8]]
    ) throws -> [(start: Int, bytes: [UInt8])] {
        let list = try #require(content[folder + "/" + StoreLayout.repairListName])
        let lines = String(decoding: list, as: UTF8.self).split(separator: "\n")
        let fields = lines.map { $0.split(separator: "\t") }
        return try fields.filter { $0[1] == path }.map {
            (try #require(Int($0[2])), try #require(content[folder + "/" + $0[0]]))
        }
    }

    @Test(arguments: VerifyTests.cases)
    func `changes nothing that the plan does not name, and keeps what it changes`(
        _ one: VerifyTests.Case
    ) throws {
        let store = try DoctorStore.make()
        try one.damage(store)
        let steps = try plan(store).steps
        let recovered = steps.filter { $0.kind == .recoverStream }
        let named = steps.map(\.path) + recovered.map { $0.path + "/" + StoreLayout.manifestName }
        let before = try store.content()
        let folder = try repair(store).folder
        let after = try store.content()
        for (path, old) in before where after[path] != old && path != StoreLayout.lock {
            let new = after[path] ?? []
            let changed = old.indices.filter { $0 >= new.count || new[$0] != old[$0] }
            // As an opening does, a recovery may write a footer behind what there is.
            if changed.isEmpty, after[path] != nil { continue }
            #expect(named.contains(path), "\(path)")
            let copies = try copies(of: path, in: try #require(folder), after)
            let isKept = changed.allSatisfy { place in
                copies.contains { copy in
                    let index = place - copy.start
                    return copy.bytes.indices.contains(index) && copy.bytes[index] == old[place]
                }
            }
            #expect(isKept, "\(path)")
        }
    }
}

@Suite("The plan of a repair")
struct RepairPlanTests {
    private func finding(
        _ kind: DamageReport.Kind, _ path: String, offsets: Range<UInt64>? = nil
    ) -> DamageReport {
        DamageReport(kind: kind, stream: "s", path: path, offsets: offsets, detail: "d")
    }

    private let segment = "streams/00000000000000ab/00000000000000000002-00000000000000cd.segment"

    @Test func `puts a stream in order once, before anything in it is written`() {
        let plan = RepairPlan([
            finding(.missingSegment, segment, offsets: 2..<4), finding(.damagedFooter, segment),
        ])
        #expect(plan.steps.map(\.kind) == [.recoverStream, .writeFooter, .acknowledgeLoss])
        #expect(plan.steps[0].path == "streams/00000000000000ab")
        #expect(plan.steps[2].loss == "the offsets 2 to before 4 are lost already")
    }

    @Test func `leaves what nothing can mend, and says so`() {
        let bad = finding(.damagedBatches, segment)
        let unfit = finding(.unknownFile, "streams/x")
        let plan = RepairPlan([bad, unfit], unfit: [unfit])
        #expect(plan.steps.isEmpty)
        #expect(plan.remaining.count == 2)
    }

    @Test func `writes a footer anew though nothing tells the header`() {
        let header = finding(.damagedSegmentHeader, segment)
        let plan = RepairPlan([header, finding(.damagedFooter, segment)], unfit: [header])
        #expect(plan.steps.map(\.kind) == [.recoverStream, .writeFooter])
        #expect(plan.remaining == [header])
    }

    @Test func `is the same for the same findings in another order`() {
        let findings = [
            finding(.damagedIndex, "index-1.sqlite"), finding(.damagedEpochs, "EPOCHS"),
            finding(.damagedFooter, segment),
        ]
        #expect(RepairPlan(findings).steps == RepairPlan(findings.reversed()).steps)
    }
}
