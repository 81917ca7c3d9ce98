import Platform

/// Threads in a program that does not know of them.
enum LibraryThread {
    private static let lastSignal: Int32 = 64

    /// Starts a thread on which no signal handler of the program's runs.
    static func start(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) -> Thread {
        try Thread.start(name: name) {
            Signals.block(Array(1...lastSignal))
            body()
        }
    }
}
