import WeirBase

/// What a store refuses, each in one sentence.
extension Store {
    static func expectUserName(_ name: StreamName) throws(WeirError) {
        if name.isSystem {
            throw WeirError(
                .invalidArgument,
                "The name \(name) begins with weir., as those of Weir's own streams do; choose "
                    + "another.")
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
