import Foundation
import Weir

/// A folder of a test's own, removed with the last reference.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "weir-test-" + UUID().uuidString
    }

    deinit { TemporaryFolder.remove(path) }

    static func remove(_ path: String) {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            // Never made: nothing to remove.
        }
    }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
func text(_ bytes: [UInt8]?) -> String { String(decoding: bytes ?? [], as: UTF8.self) }

extension LogStream {
    /// All records from a position to the end, copied.
    func all(from start: StartPosition = .first, reading: Reading = .mapped) throws -> [Record] {
        var cursor = try cursor(from: start, reading: reading)
        var found: [Record] = []
        while true {
            switch try cursor.next() {
            case .batch:
                var records = cursor.records
                while let record = records.next() { found.append(record.copy()) }
            case .gap: continue
            case .end: return found
            }
        }
    }
}
