import CISALBench
import Foundation

/// The bare loop: what the machine gives to plain Swift that encodes, checksums and writes batches
/// as Weir's format has them, and walks over them through a map, without any of Weir's code.
///
///     weir-bench-bare WORKLOAD --dir FOLDER --records N
@main
enum BareLoop {
    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count == 6, let records = Int(arguments[5]) else {
            FileHandle.standardError.write(
                Data("usage: weir-bench-bare WORKLOAD --dir FOLDER --records N\n".utf8))
            exit(1)
        }
        let path = arguments[3] + "/bare.log"
        let seconds: Double
        var count = records
        switch arguments[1] {
        case "append100": seconds = append(path, records, valueBytes: 100)
        case "append1k": seconds = append(path, records, valueBytes: 1024)
        case "replay100": (seconds, count) = walk(path)
        case "durable1": seconds = durable(path, records)
        default: exit(2)
        }
        print(
            "{\"engine\":\"bare\",\"workload\":\"\(arguments[1])\",\"records\":\(count),"
                + "\"bytes\":\(count * 100),\"seconds\":\(seconds),"
                + "\"recordsPerSecond\":\(Int(Double(count) / seconds))}")
    }

    static let batchRecords = 1000
    static let headerBytes = 152

    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    static func append(_ path: String, _ records: Int, valueBytes: Int) -> Double {
        let file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
        let entryHead = valueBytes < 256 ? 5 : 8
        let entry = 4 + entryHead + valueBytes
        let total = headerBytes + entry * batchRecords
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: total, alignment: 16)
        memset(buffer, 0, total)
        let pool = UnsafeMutableRawPointer.allocate(byteCount: 4096 * valueBytes, alignment: 16)
        memset(pool, 7, 4096 * valueBytes)
        var position = 0
        func run(_ count: Int) {
            for batch in 0..<count / batchRecords {
                var at = headerBytes
                for index in 0..<batchRecords {
                    buffer.storeBytes(
                        of: UInt32(entryHead + valueBytes).bigEndian, toByteOffset: at,
                        as: UInt32.self)
                    buffer.storeBytes(of: 0xA075_5300, toByteOffset: at + 4, as: UInt32.self)
                    buffer.storeBytes(
                        of: UInt8(truncatingIfNeeded: valueBytes), toByteOffset: at + 8,
                        as: UInt8.self)
                    let source = (batch * batchRecords + index) & 4095
                    memcpy(buffer + at + 4 + entryHead, pool + source * valueBytes, valueBytes)
                    at += entry
                }
                let body = crc32_gzip_refl(
                    0, (buffer + headerBytes).assumingMemoryBound(to: UInt8.self),
                    UInt64(at - headerBytes))
                buffer.storeBytes(of: body, toByteOffset: 32, as: UInt32.self)
                buffer.storeBytes(
                    of: headerChecksum(UnsafeRawPointer(buffer)), toByteOffset: 4, as: UInt32.self)
                position += pwrite(file, buffer, at, off_t(position))
            }
        }
        run(records / 10)
        let start = now()
        run(records)
        let seconds = now() - start
        close(file)
        return seconds
    }

    /// Of everything behind the checksum's own place.
    static func headerChecksum(_ header: UnsafeRawPointer) -> UInt32 {
        crc32_iscsi(
            UnsafeMutablePointer(mutating: (header + 8).assumingMemoryBound(to: UInt8.self)),
            Int32(headerBytes - 8), ~0)
    }

    /// Both checksums of every batch, then length and first byte of every value.
    static func walk(_ path: String) -> (Double, Int) {
        let file = open(path, O_RDONLY)
        var status = stat()
        fstat(file, &status)
        let size = Int(status.st_size)
        guard let base = mmap(nil, size, PROT_READ, MAP_SHARED, file, 0) else { exit(1) }
        let entry = 4 + 5 + 100
        func run() -> (Int, Int) {
            var sum = 0
            var count = 0
            var at = 0
            while at < size {
                let body = at + headerBytes
                let end = body + entry * batchRecords
                let bytes = UnsafeMutablePointer(
                    mutating: (base + body).assumingMemoryBound(to: UInt8.self))
                guard
                    crc32_gzip_refl(0, bytes, UInt64(end - body))
                        == base.loadUnaligned(fromByteOffset: at + 32, as: UInt32.self),
                    headerChecksum(base + at)
                        == base.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self)
                else { exit(1) }
                at = body
                while at < end {
                    let length = Int(
                        UInt32(
                            bigEndian: base.loadUnaligned(
                                fromByteOffset: at, as: UInt32.self)))
                    sum &+= length &+ Int(base.load(fromByteOffset: at + 9, as: UInt8.self))
                    at += 4 + length
                    count += 1
                }
            }
            return (sum, count)
        }
        _ = run()
        let start = now()
        let (sum, count) = run()
        let seconds = now() - start
        return (sum == 1 ? 0 : seconds, count)
    }

    /// One record of 256 bytes a `pwrite` and an `fdatasync`, over zeros that were written before.
    static func durable(_ path: String, _ records: Int) -> Double {
        let file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
        let zeros = [UInt8](repeating: 0, count: (records + 300) * 272)
        _ = zeros.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, 0) }
        fdatasync(file)
        let record = [UInt8](repeating: 7, count: 272)
        func run(_ range: Range<Int>) {
            for index in range {
                _ = record.withUnsafeBytes { pwrite(file, $0.baseAddress, 272, off_t(index * 272)) }
                fdatasync(file)
            }
        }
        run(0..<200)
        let start = now()
        run(200..<200 + records)
        let seconds = now() - start
        close(file)
        return seconds
    }
}
