import WeirBase

/// What a store refuses, each in one sentence.
extension Store {
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
