import Foundation
import Testing
import WeirBase
import WeirFiles

@Suite("A file of a store")
struct DescriptorTests {
    /// In a process of its own, since numbers of files are everybody's.
    @Test func `never has the number of a closed standard stream`() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let folder = NSTemporaryDirectory() + "weir-descriptors-" + UUID().uuidString
            // The root would get the one, the file the other.
            close(0)
            close(1)
            let files = try RealFileSystem.openRoot(folder, creating: true)
            let file = try files.open("f", .createExclusive)
            let isAway = file.descriptor > 2
            try files.close(file)
            try FileManager.default.removeItem(atPath: folder)
            exit(isAway ? 7 : 8)
        }
    }

    @Test func `of a socket has none either`() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let folder = NSTemporaryDirectory() + "weir-descriptors-" + UUID().uuidString
            let files = try RealFileSystem.openRoot(folder, creating: true)
            for standard in Int32(0)...2 { close(standard) }
            let listener = try LocalSocket.listen("control", in: files)
            let asking = try LocalSocket.connect("control", in: files)
            let asked = try listener.accept()
            let isAway = asking.descriptor > 2 && asked.map { $0.descriptor > 2 } == true
            // Another thread of the process may have opened a file meanwhile: only a socket or an
            // end of a pipe would be one that is left behind.
            let isFree = (Int32(0)...2).allSatisfy { number in
                var found = stat()
                guard unsafe fstat(number, &found) == 0 else { return true }
                return ![S_IFSOCK, S_IFIFO].contains(found.st_mode & S_IFMT)
            }
            try listener.close()
            try FileManager.default.removeItem(atPath: folder)
            exit(isAway && isFree ? 7 : 8)
        }
    }
}
