import Synchronization
import WeirBase

/// How far a verification is, for all its threads; and whether somebody wants it to end.
final class VerifyMeter: Sendable {
    private let bytes = Atomic(0)
    private let records = Atomic(0)
    private let isStopped = Atomic(false)
    private let totalBytes: Int
    private let tell: @Sendable (VerifyProgress) -> Bool

    init(totalBytes: Int, _ tell: @escaping @Sendable (VerifyProgress) -> Bool) {
        self.totalBytes = totalBytes
        self.tell = tell
    }

    var hasStopped: Bool { isStopped.load(ordering: .relaxed) }

    var figures: VerifyProgress {
        VerifyProgress(
            bytes: bytes.load(ordering: .relaxed), totalBytes: totalBytes,
            records: records.load(ordering: .relaxed))
    }

    /// Called some megabytes apart. `false`: end.
    func add(bytes byteCount: Int, records recordCount: Int) -> Bool {
        bytes.add(byteCount, ordering: .relaxed)
        records.add(recordCount, ordering: .relaxed)
        let figures = figures
        if !tell(figures) { isStopped.store(true, ordering: .relaxed) }
        return !hasStopped
    }
}
