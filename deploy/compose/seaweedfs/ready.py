"""Exit status 0 once the bucket is there: a server without one refuses with another status."""

import sys
import urllib.error
import urllib.request

try:
    urllib.request.urlopen("http://127.0.0.1:8333/understudy", timeout=3)
except urllib.error.HTTPError as error:
    # 403: the bucket asks for a key; 404: there is none yet
    sys.exit(0 if error.code == 403 else 1)
except OSError:
    sys.exit(1)
