const reasons: Record<string, string> = {
  ENOENT: 'no server listens there',
  ECONNREFUSED: 'no server listens there',
  EACCES: 'it belongs to another user',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the host name cannot be looked up now',
  ETIMEDOUT: 'no answer',
  EHOSTUNREACH: 'no route to the host',
}

/** Why a connection could not be made, in words where we have them. */
export function reasonOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  return (code && reasons[code]) ?? error.message
}
