import Glibc
import RingTestSupport

/// `apus-fuzz-rings CASES [SEED]`: hostile peers of live rings, the same for the same seed.
@main struct FuzzRings {
    static func main() throws {
        let numbers = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
        guard let cases = numbers.first else {
            print("usage: apus-fuzz-rings CASES [SEED]")
            exit(2)
        }
        print(try RingFuzz.run(seed: numbers.dropFirst().first ?? 1, cases: Int(cases)))
    }
}
