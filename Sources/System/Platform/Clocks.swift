import CPlatform
import Glibc

/// Time that only moves forward, the same in all processes of the machine, in nanoseconds.
public enum MonotonicClock {
    public static func now() -> UInt64 { nanoseconds(of: CLOCK_MONOTONIC) }
}

/// Unix time in nanoseconds: for what people read, never for measuring.
public enum WallClock {
    public static func now() -> UInt64 { nanoseconds(of: CLOCK_REALTIME) }
}

private func nanoseconds(of clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}

/// Random bytes from the kernel, fit for keys and identifiers.
public enum SystemRandom {
    public static func fill(_ bytes: UnsafeMutableRawBufferPointer) {
        let result = apus_random(bytes.baseAddress, bytes.count)
        precondition(result == 0, "the kernel gives no random bytes (errno \(-result))")
    }

    public static func next() -> UInt64 {
        var value: UInt64 = 0
        withUnsafeMutableBytes(of: &value) { fill($0) }
        return value
    }
}
