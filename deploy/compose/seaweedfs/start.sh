# One server with one bucket, whose key is that of the environment
set -eu
umask 077
cat > /tmp/s3.json <<END
{"identities": [{"name": "understudy", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
  "credentials": [{"accessKey": "$STORE_ACCESS_KEY_ID", "secretKey": "$STORE_SECRET_ACCESS_KEY"}]}]}
END
# the bucket is made once the server answers
( until echo "s3.bucket.create -name understudy" | weed shell -master=127.0.0.1:9333 2>&1 \
    | grep -q -e 'create bucket' -e 'exist'; do sleep 1; done ) &
exec weed server -dir=/data -ip=127.0.0.1 -ip.bind=0.0.0.0 -filer -s3 -s3.config=/tmp/s3.json \
  -s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false -master.volumeSizeLimitMB=64 -volume.max=8 -master.telemetry=false
