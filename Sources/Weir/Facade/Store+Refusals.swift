import WeirBase
import WeirFiles

/// What a store refuses, each in one sentence.
extension Store {
    /// Of a store that somebody has, and wants to have looked at. Throws `notFound`.
    static func rootToExamine(_ path: String) throws(WeirError) -> RealFileSystem {
        do throws(WeirError) {
            return try RealFileSystem.openRoot(path, creating: false)
        } catch {
            guard error.code == .notFound else { throw error }
            throw WeirError(
                .notFound, "There is no store at \(path); check the path.", errno: error.errno)
        }
    }

    /// Throws `invalidArgument` for a name that no stream of a user can have.
    package static func expectUserName(_ name: String) throws(WeirError) {
        try expectUserName(StreamName(name))
    }

    static func expectUserName(_ name: StreamName) throws(WeirError) {
        if name.isSystem {
            throw WeirError(
                .invalidArgument,
                "The name \(name) begins with weir., as those of Weir's own streams do, which "
                    + "nobody else appends to; choose another.")
        }
    }

    static func deleted(_ name: StreamName) -> WeirError {
        WeirError(
            .closed, "The stream \(name) was deleted; nothing more can be read from it or appended."
        )
    }

    static func closed() -> WeirError {
        WeirError(.closed, "The store was closed; open it again.")
    }
}
