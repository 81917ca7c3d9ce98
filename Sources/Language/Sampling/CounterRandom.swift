/// Random numbers as a function of (seed, choice, position, stream): there is no state that a batch could disturb.
///
/// The generator is Philox4x32 with 10 rounds (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
/// 1, 2, 3", 2011). The seed is the key; position and choice are the low and the high half of the counter. A block has
/// four words of 32 bits, two for each stream.
public enum CounterRandom {
    /// Independent numbers of one place.
    public enum Stream: Sendable {
        /// Which token is drawn.
        case token
        /// Whether the top choices are excluded.
        case exclusion
    }

    /// A number in 0 ..< 1 with 53 random bits.
    public static func uniform(
        seed: UInt64, choice: UInt64, position: UInt64, stream: Stream = .token
    ) -> Double {
        let words = philox(
            counter: (low(position), high(position), low(choice), high(choice)), key: (low(seed), high(seed)))
        let bits =
            switch stream {
            case .token: UInt64(words.1) << 32 | UInt64(words.0)
            case .exclusion: UInt64(words.3) << 32 | UInt64(words.2)
            }
        return Double(bits >> 11) * 0x1p-53
    }

    typealias Counter = (UInt32, UInt32, UInt32, UInt32)

    static func philox(counter: Counter, key: (UInt32, UInt32)) -> Counter {
        var state = counter
        var roundKey = key
        for _ in 0..<10 {
            let first = UInt64(state.0) * 0xD251_1F53
            let second = UInt64(state.2) * 0xCD9E_8D57
            state = (
                high(second) ^ state.1 ^ roundKey.0, low(second),
                high(first) ^ state.3 ^ roundKey.1, low(first)
            )
            roundKey = (roundKey.0 &+ 0x9E37_79B9, roundKey.1 &+ 0xBB67_AE85)
        }
        return state
    }

    private static func low(_ value: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: value) }
    private static func high(_ value: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: value >> 32) }
}
