/// How many experts a mixture has, and how many of them compute a row.
public struct ExpertConfiguration: Sendable, Equatable {
    public internal(set) var count: Int
    public internal(set) var used: Int
}
