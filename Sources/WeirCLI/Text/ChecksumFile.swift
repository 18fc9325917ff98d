import Foundation
import Weir

/// The checksum of an exported text, in a file beside it that `sha256sum -c` reads.
///
///     NAME.sha256   64 hexadecimal digits, two spaces, the file's name, a line feed
///
/// Text has no place of its own for one.
enum ChecksumFile {
    static func path(of path: String) -> String { path + ".sha256" }

    /// As `sha256sum` writes it: a name with a line's end in it is escaped, and the line says so.
    static func line(_ digest: String, of path: String) -> String {
        let name = URL(filePath: path).lastPathComponent
        let escaped = name.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
            .replacing("\r", with: "\\r")
        return (escaped == name ? "" : "\\") + digest + "  " + escaped + "\n"
    }

    static func exists(beside path: String) -> Bool {
        unsafe access(self.path(of: path), F_OK) == 0
    }

    /// Throws `alreadyExists` where the file beside is anything but what an export of that name
    /// left: sums of other files are not written over.
    static func expectReplaceable(beside path: String) throws {
        guard exists(beside: path) else { return }
        let beside = self.path(of: path)
        let source = isDirectory(beside) ? nil : try InputSource(path: beside)
        let isFile = source?.totalBytes != nil
        let text = isFile ? String(decoding: try source?.piece() ?? [], as: UTF8.self) : ""
        let digest = text.drop { $0 == "\\" }.prefix { $0.isHexDigit }
        guard digest.count == 64, text == line(String(digest), of: path) else {
            throw WeirError(
                .alreadyExists,
                "The file \(beside) exists, and is not the checksum of \(path) alone; move it "
                    + "away, or choose another name for the export.")
        }
    }

    /// Holds a content against what the file beside it says. Throws `damaged` where they differ.
    static func expect(_ digest: String, of path: String) throws {
        let beside = self.path(of: path)
        let source = try InputSource(path: beside)
        let text = String(decoding: try source.piece() ?? [], as: UTF8.self)
        let said = text.drop { $0 == "\\" }.prefix { $0.isHexDigit }.lowercased()
        let advice = "; to import it as it is, remove \(beside)."
        guard said.count == digest.count else {
            throw WeirError(
                .damaged,
                "The file \(beside) does not begin with the 64 hexadecimal digits of a SHA-256, so "
                    + "that nothing proves \(path). Fetch both again, or export anew" + advice)
        }
        guard said == digest else {
            throw WeirError(
                .damaged,
                "The file \(path) has the SHA-256 \(digest), and \(beside) says \(said): it was "
                    + "cut or altered since. Nothing was imported. Fetch both again, or export "
                    + "anew" + advice)
        }
    }
}
